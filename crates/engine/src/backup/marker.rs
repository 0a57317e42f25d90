//! The marker of a restore under way, and which records of the meta partition belong to a store and not to its content.
//!
//! | table | key of the meta partition | value |
//! |---|---|---|
//! | live | `r` | [`Restoring`]: a restore that is not complete |

use std::sync::Arc;

use bytes::Bytes;
use minicbor::{Decode, Encode};
use stint_store::{Head, META, Store, StoreError, Table, Write};

use crate::meta::IDENTITY;

const KEY: &[u8] = b"r";

/// How the identity begins that a restore leaves; no store's own does.
const RESTORED: &str = "restored ";

/// A restore that is not complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Restoring {
    /// The backup.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) id: [u8; 16],
    /// How its batches are cut.
    #[n(1)]
    pub(crate) plan: u32,
}

/// What a marker says; the error if that can't be read.
pub(crate) type Marker = Result<Restoring, String>;

/// The marker among the meta partition's live records.
pub(crate) fn find(rows: &[(Bytes, Bytes)]) -> Option<Marker> {
    let (_, value) = rows.iter().find(|(key, _)| **key == *KEY)?;
    Some(minicbor::decode(value).map_err(|error| error.to_string()))
}

/// Where the meta partition stands, and the marker if there is one.
pub(crate) async fn under_way(store: &Arc<dyn Store>) -> Result<(Head, Option<Marker>), StoreError> {
    let key = (Table::Live, Bytes::from_static(KEY));
    let read = store.get(META, vec![key.clone()]).await?;
    let rows: Vec<_> = read.values.into_iter().flatten().map(|value| (key.1.clone(), value)).collect();
    Ok((read.head, find(&rows)))
}

/// Puts the marker.
pub(crate) fn begin(restoring: &Restoring) -> Write {
    let mut value = Vec::with_capacity(32);
    // Writing to a Vec can't fail.
    _ = minicbor::encode(restoring, &mut value);
    Write { table: Table::Live, key: Bytes::from_static(KEY), value: Some(value.into()) }
}

/// Takes the marker away and leaves an identity that no store has, which names the backup.
pub(crate) fn done(backup: &str) -> Vec<Write> {
    let live = |key, value| Write { table: Table::Live, key: Bytes::from_static(key), value };
    vec![live(KEY, None), live(IDENTITY, Some(format!("{RESTORED}{backup}").into()))]
}

/// The backup that a restore brought here, if this is the identity that one leaves.
pub(crate) fn restored_from(identity: &[u8]) -> Option<&str> {
    std::str::from_utf8(identity).ok()?.strip_prefix(RESTORED)
}

/// Whether a record of the meta partition is about this store itself (members, identity, marker): no backup holds it.
pub(crate) fn is_own(table: Table, key: &[u8]) -> bool {
    table == Table::Live && (key == KEY || key == IDENTITY || key.first() == Some(&b'n'))
}
