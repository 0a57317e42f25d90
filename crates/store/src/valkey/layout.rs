//! How a partition lies in the server: names of keys, heads, log entries.

use bytes::Bytes;

use crate::contract::{Head, META, NodeId, Table, Write};

/// Bytes of an encoded head.
pub(super) const HEAD_BYTES: usize = 44;

/// The keys of one partition. They share a hash tag, so a cluster keeps them on one server and a script may use
/// them together.
pub(super) struct PartitionKeys {
    /// Hash: the head, each committer's last batch, the size of the log.
    pub(super) head: Vec<u8>,
    /// Hash: live records.
    pub(super) live: Vec<u8>,
    /// Hash: cold records.
    pub(super) cold: Vec<u8>,
    /// Sorted set: keys of ordered records, all with score 0 and therefore in byte order.
    pub(super) index: Vec<u8>,
    /// Hash: values of ordered records that are not empty.
    pub(super) values: Vec<u8>,
    /// List: one entry a batch, the newest last.
    pub(super) log: Vec<u8>,
}

impl PartitionKeys {
    /// The keys of all partitions, by partition number.
    pub(super) fn all(prefix: &str) -> Vec<Self> {
        (0..=META.0)
            .map(|partition| {
                let key = |part: &str| format!("{prefix}:{{{partition}}}:{part}").into_bytes();
                Self {
                    head: key("head"),
                    live: key("live"),
                    cold: key("cold"),
                    index: key("index"),
                    values: key("values"),
                    log: key("log"),
                }
            })
            .collect()
    }
}

/// The key that holds format and partition count.
pub(super) fn store_key(prefix: &str) -> Vec<u8> {
    format!("{prefix}:{{{}}}:store", META.0).into_bytes()
}

/// A head as stored and compared. That of an empty partition is empty, as is a key that isn't there.
pub(super) fn encode_head(head: Head) -> Vec<u8> {
    if head == Head::default() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    for number in [head.timeline, head.version, head.nonce, head.committer.0] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&head.now_ms.to_be_bytes());
    bytes.extend_from_slice(&head.level.to_be_bytes());
    bytes
}

/// The reverse of [`encode_head`]; `None` if it is not a head.
pub(super) fn decode_head(bytes: &[u8]) -> Option<Head> {
    if bytes.is_empty() {
        return Some(Head::default());
    }
    let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let level = u32::from_be_bytes(bytes.get(40..HEAD_BYTES)?.try_into().ok()?);
    (bytes.len() == HEAD_BYTES).then_some(Head {
        timeline: number(0)?,
        version: number(8)?,
        nonce: number(16)?,
        committer: NodeId(number(24)?),
        now_ms: number(32)?.cast_signed(),
        level,
    })
}

/// The field of the head's hash that names a node's last batch.
pub(super) fn committer_field(node: NodeId) -> [u8; 9] {
    let mut field = [b'c'; 9];
    field[1..].copy_from_slice(&node.0.to_be_bytes());
    field
}

/// What stands in it.
pub(super) fn committer_value(incarnation: u64, nonce: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&incarnation.to_be_bytes());
    value[8..].copy_from_slice(&nonce.to_be_bytes());
    value
}

/// A batch's log entry: its head, then the live keys it puts or deletes, each behind its length.
pub(super) fn log_entry(head: &[u8], writes: &[Write]) -> Vec<u8> {
    let live = || writes.iter().filter(|write| write.table == Table::Live).map(|write| &write.key);
    let mut entry = Vec::with_capacity(head.len() + live().map(|key| key.len() + 2).sum::<usize>());
    entry.extend_from_slice(head);
    for key in live() {
        // Keys are at most 1,024 bytes long, which the batch's validation has seen to.
        entry.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
        entry.extend_from_slice(key);
    }
    entry
}

/// A bound of a range as the server writes it.
pub(super) fn bound(mark: u8, key: &Bytes) -> Vec<u8> {
    let mut bound = Vec::with_capacity(key.len() + 1);
    bound.push(mark);
    bound.extend_from_slice(key);
    bound
}
