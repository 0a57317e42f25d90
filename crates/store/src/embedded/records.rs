//! Bytes of the `heads` keyspace: heads, committers, and the facts of the whole store.
//!
//! A head's key is its partition's byte, a committer's that byte and the node as 8 bytes, a fact's its name. No name
//! begins with a byte as small as a partition's.

use minicbor::{Decode, Encode};

use crate::contract::{Head, NodeId, PartitionId};

/// Format of the store, 4 bytes, big-endian.
pub(super) const FORMAT_KEY: &[u8] = b"format";
/// Number of partitions, 4 bytes, big-endian.
pub(super) const PARTITIONS_KEY: &[u8] = b"partitions";
/// The store's identity, text.
pub(super) const IDENTITY_KEY: &[u8] = b"identity";
/// The last accepted loss, see [`Loss`].
pub(super) const LOSS_KEY: &[u8] = b"loss";

/// A head as it is stored; fields may be added, never renumbered.
#[derive(Encode, Decode)]
struct HeadRecord {
    #[n(0)]
    timeline: u64,
    #[n(1)]
    version: u64,
    #[n(2)]
    nonce: u64,
    #[n(3)]
    committer: u64,
    #[n(4)]
    now_ms: i64,
    #[n(5)]
    level: u32,
}

#[derive(Encode, Decode)]
struct CommitterRecord {
    #[n(0)]
    incarnation: u64,
    #[n(1)]
    nonce: u64,
}

/// Confirmed batches that were missing at a start, and were given up by whoever started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Loss {
    /// When, ms since 1970 UTC.
    #[n(0)]
    pub at_ms: i64,
    /// Confirmed batches that are missing.
    #[n(1)]
    pub batches: u64,
    /// In how many partitions.
    #[n(2)]
    pub partitions: u32,
}

/// What a key of the `heads` keyspace is about.
pub(super) enum HeadsKey {
    Head(PartitionId),
    Committer(PartitionId, NodeId),
    Fact,
}

pub(super) fn committer_key(partition: PartitionId, node: NodeId) -> [u8; 9] {
    let mut key = [partition.0; 9];
    if let Some(number) = key.get_mut(1..) {
        number.copy_from_slice(&node.0.to_be_bytes());
    }
    key
}

pub(super) fn parse_key(key: &[u8]) -> HeadsKey {
    match key {
        [partition] => HeadsKey::Head(PartitionId(*partition)),
        [partition, node @ ..] if *partition <= crate::META.0 => match <[u8; 8]>::try_from(node) {
            Ok(node) => HeadsKey::Committer(PartitionId(*partition), NodeId(u64::from_be_bytes(node))),
            Err(_) => HeadsKey::Fact,
        },
        _ => HeadsKey::Fact,
    }
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    encode(&HeadRecord {
        timeline: head.timeline,
        version: head.version,
        nonce: head.nonce,
        committer: head.committer.0,
        now_ms: head.now_ms,
        level: head.level,
    })
}

pub(super) fn decode_head(bytes: &[u8]) -> Result<Head, String> {
    let record: HeadRecord = minicbor::decode(bytes).map_err(|e| format!("a head can't be read: {e}"))?;
    Ok(Head {
        timeline: record.timeline,
        version: record.version,
        nonce: record.nonce,
        committer: NodeId(record.committer),
        now_ms: record.now_ms,
        level: record.level,
    })
}

pub(super) fn encode_committer(incarnation: u64, nonce: u64) -> Vec<u8> {
    encode(&CommitterRecord { incarnation, nonce })
}

pub(super) fn decode_committer(bytes: &[u8]) -> Result<(u64, u64), String> {
    let record: CommitterRecord =
        minicbor::decode(bytes).map_err(|e| format!("a committer can't be read: {e}"))?;
    Ok((record.incarnation, record.nonce))
}

pub(super) fn encode_loss(loss: &Loss) -> Vec<u8> {
    encode(loss)
}

pub(super) fn decode_loss(bytes: &[u8]) -> Result<Loss, String> {
    minicbor::decode(bytes).map_err(|e| format!("the record of a loss can't be read: {e}"))
}

fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    let Ok(()) = minicbor::encode(record, &mut bytes) else {
        // Writing to a vector has no way to fail, and these records no custom encoder.
        return Vec::new();
    };
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_committers_round_trip() {
        let head = Head {
            timeline: 3,
            version: u64::MAX,
            nonce: 1 << 63,
            committer: NodeId(u64::MAX - 1),
            now_ms: -5,
            level: 7,
        };
        assert_eq!(decode_head(&encode_head(&head)), Ok(head));
        assert_eq!(decode_committer(&encode_committer(1, u64::MAX)), Ok((1, u64::MAX)));
        let key = committer_key(PartitionId(64), NodeId(258));
        assert!(matches!(parse_key(&key), HeadsKey::Committer(PartitionId(64), NodeId(258))));
        assert!(matches!(parse_key(&[0]), HeadsKey::Head(PartitionId(0))));
        for fact in [FORMAT_KEY, PARTITIONS_KEY, IDENTITY_KEY, LOSS_KEY] {
            assert!(matches!(parse_key(fact), HeadsKey::Fact));
        }
    }

    /// Released bytes: a change here is a change of format.
    #[test]
    fn a_head_keeps_its_bytes() {
        let head = Head { timeline: 1, version: 2, nonce: 3, committer: NodeId(4), now_ms: 5, level: 6 };
        assert_eq!(encode_head(&head), [0x86, 1, 2, 3, 4, 5, 6]);
        assert_eq!(encode_committer(7, 8), [0x82, 7, 8]);
        assert_eq!(encode_loss(&Loss { at_ms: 1, batches: 2, partitions: 3 }), [0x83, 1, 2, 3]);
    }
}
