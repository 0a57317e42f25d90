//! The contract: seven calls, and what each must guarantee.
//!
//! The order of the guarantees matters more than their number: a head that moves exactly once per
//! committed batch, a batch that applies whole or not at all, and a lost reply that can be settled by sending
//! the same batch again.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Number of partitions of every store, written into it at first start.
pub const PARTITIONS: u8 = 64;

/// The partition that holds facts of the whole store (format, members, identity).
pub const META: PartitionId = PartitionId(PARTITIONS);

/// Format of what is on disk; a store written with another one is refused with both numbers.
pub const FORMAT: u32 = 1;

/// Puts at which a batch closes. A command is never split, so one batch may be larger by one command.
pub const BATCH_PUTS_MAX: usize = 1_000;

/// Bytes of keys and values at which a batch closes.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Batches for which [`Store::changes`] must still answer, unless they are more than [`CHANGES_BYTES_MIN`].
pub const CHANGES_BATCHES_MIN: u64 = 1_000;

/// See [`CHANGES_BATCHES_MIN`].
pub const CHANGES_BYTES_MIN: u64 = 1 << 20;

/// Longest key in bytes; the shortest has 1.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 4 << 20;

/// One of the store's partitions: `0..PARTITIONS`, or [`META`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId(pub u8);

/// The table a key belongs to. Keys of different tables never meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Records of open work: get, put, delete, load all. Small.
    Live,
    /// Records read by their exact key only: get, put, delete. A backup scans them.
    Cold,
    /// Records also read by range, in byte order of their keys.
    Ordered,
}

/// A node's number in the store, chosen by the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u64);

/// Where a partition stands. Two equal heads mean the same content; the default is that of an empty partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Grows when acknowledged writes were found lost; event cursors name it.
    pub timeline: u64,
    /// Batches committed so far.
    pub version: u64,
    /// Random number of the batch that made this head.
    pub nonce: u64,
    /// The node that committed it.
    pub committer: NodeId,
    /// The `now` (ms since 1970 UTC) of that batch; time never runs behind it.
    pub now_ms: i64,
    /// Version of records and rules in this partition.
    pub level: u32,
}

/// One change of one key. `value: None` deletes; deleting an absent key is fine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Its table.
    pub table: Table,
    /// Its key, 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Bytes,
    /// The new value, up to [`VALUE_BYTES_MAX`] bytes; `None` deletes.
    pub value: Option<Bytes>,
}

/// Everything one commit changes, all or nothing. A key appears in `writes` at most once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The head after this batch. `next.nonce` is fresh and not 0, `next.version` is the expected one + 1; the first
    /// batch of an empty partition may begin at any version above 0, so that a restore goes on where its backup ended.
    pub next: Head,
    /// Random number of the committing process's start.
    pub incarnation: u64,
    /// The changes, in any order.
    pub writes: Vec<Write>,
    /// Keys that must not exist, else nothing is applied and the answer is [`Committed::Present`].
    pub absent: Vec<(Table, Bytes)>,
}

impl Batch {
    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.writes.iter().map(|w| w.key.len() + w.value.as_ref().map_or(0, Bytes::len)).sum()
    }

    /// Whether this batch may follow `expected` at all. A caller that breaks the contract has a defect which no
    /// retry mends, so the answer is [`StoreError::Fatal`]; nothing is applied and the store itself is unharmed.
    pub fn validate(&self, partition: PartitionId, expected: Head) -> Result<(), StoreError> {
        let broken =
            |what: String| Err(StoreError::Fatal(format!("a batch breaks the store's contract: {what}")));
        if partition > META {
            return broken(format!("partition {} does not exist", partition.0));
        }
        let follows = self.next.version == expected.version.wrapping_add(1)
            || expected == Head::default() && self.next.version > 0;
        if !follows || self.next.nonce == 0 {
            return broken(format!(
                "version {} with nonce {} can't follow version {}",
                self.next.version, self.next.nonce, expected.version
            ));
        }
        for write in &self.writes {
            if write.key.is_empty() || write.key.len() > KEY_BYTES_MAX {
                return broken(format!("a key of {} bytes", write.key.len()));
            }
            if let Some(value) = &write.value
                && value.len() > VALUE_BYTES_MAX
            {
                return broken(format!("a value of {} bytes", value.len()));
            }
        }
        Ok(())
    }
}

/// A settled answer to a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Committed {
    /// The batch is applied, now or by an earlier send of the same batch. Carries the partition's head
    /// after *this* batch.
    Yes(Head),
    /// The partition's head is not the expected one, and the batch is not and never will be applied.
    Conflict(Head),
    /// The head was as expected, but these keys of `absent` exist. Nothing was applied.
    Present(Vec<(Table, Bytes)>),
}

/// Values by key in the order asked, and the head they were read at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Values {
    /// `None` where there is no such key.
    pub values: Vec<Option<Bytes>>,
    /// The head that all of them were read at, atomically.
    pub head: Head,
}

/// A page of a table and the head it was read at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Keys and values; in key order for a range, in any order for a load. A load may repeat a key.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Where to go on; `None` at the end. A page may be short, even empty, and still have a cursor.
    pub cursor: Option<Bytes>,
    /// The head at which this page was read.
    pub head: Head,
}

/// What became of live keys since a head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changes {
    /// Each key put or deleted since, once, with its present value, all read at `head`.
    Since {
        /// The changed keys; `None` is deleted.
        rows: Vec<(Bytes, Option<Bytes>)>,
        /// The head they were read at.
        head: Head,
    },
    /// The store no longer knows: load again.
    TooOld,
}

/// Bounds of a range over [`Table::Ordered`]: `from <= key < to`; empty if `from >= to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    /// First key, inclusive.
    pub from: Bytes,
    /// End, exclusive.
    pub to: Bytes,
    /// From the end to the start.
    pub reverse: bool,
    /// Rows at most, at least 1.
    pub limit: usize,
}

impl Range {
    /// All keys that begin with `prefix`, which must hold a byte below 0xFF.
    pub fn prefix(prefix: &[u8], limit: usize) -> Self {
        let mut to = prefix.to_vec();
        while to.last() == Some(&0xFF) {
            to.pop();
        }
        if let Some(last) = to.last_mut() {
            *last += 1;
        }
        Self { from: Bytes::copy_from_slice(prefix), to: to.into(), reverse: false, limit }
    }
}

/// Why a call has no answer. The kind says what the caller may conclude.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The call may or may not have happened, or may still happen. A commit is settled only by sending the same batch
    /// again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Nothing happened, and trying again may work.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Nothing happened; the disk or the memory is full.
    #[error("store full: {0}")]
    Full(String),
    /// The store must not be used again by this process: a write or fsync failed, or its data are damaged.
    #[error("store failed: {0}")]
    Fatal(String),
}

/// Why a store does not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{path} is in use by process {pid}; stop that process, or give this one another directory")]
    Locked {
        /// The directory or address.
        path: String,
        /// Process id of the holder, or what is known about it.
        pid: String,
    },
    /// It was written with another format or number of partitions.
    #[error("{path} has {what} {found}, this build needs {wanted}")]
    Format {
        /// The directory or address.
        path: String,
        /// `format` or `partitions`.
        what: &'static str,
        /// What the store says.
        found: u32,
        /// What this build needs.
        wanted: u32,
    },
    /// The data are older than what this store had confirmed.
    #[error(
        "{path} is behind what it had confirmed: {lost_batches} batches in {partitions} partitions are missing; \
         restore it, or start with --accept-loss to go on without them"
    )]
    Behind {
        /// The directory.
        path: String,
        /// Confirmed batches that are missing.
        lost_batches: u64,
        /// In how many partitions.
        partitions: u32,
    },
    /// It can't be read or reached.
    #[error("{path}: {reason}")]
    Io {
        /// The directory or address.
        path: String,
        /// What went wrong.
        reason: String,
    },
}

impl OpenError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Format { .. } => "store_format",
            Self::Behind { .. } => "store_behind",
            Self::Io { .. } => "store_unavailable",
        }
    }
}

/// How much room is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// Enough.
    Enough,
    /// Below the low-water mark: only what ends work may be committed.
    Low,
}

/// Counters since the store was opened, for metrics and the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Batches committed.
    pub commits: u64,
    /// Writes (puts and deletes) committed, heads and committers not counted.
    pub writes: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Times data were forced to disk (0 where that is not ours to do).
    pub syncs: u64,
    /// Longest commit in microseconds.
    pub longest_commit_us: u64,
}

/// A backend. Every call may be made from any thread; calls for different partitions don't wait for each other
/// more than the medium demands.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Applies `batch` if the partition's head equals `expected` and no key of `batch.absent` exists.
    ///
    /// Answers `Yes` also if the batch's node already holds this incarnation and nonce as its last committed
    /// batch in this partition, even below later commits of other nodes: so the same batch may be sent again
    /// until it is settled. A `Yes` means kept at the durability the store was opened with.
    ///
    /// Nothing is sent before the future is first polled. Dropping it later leaves the outcome unknown.
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Reads keys of any table, all at one head.
    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>>;

    /// A page of all live records; `cursor` is `None` at first. Pages may be read at different heads: a loader
    /// notes the first page's head and applies [`Store::changes`] since it.
    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// A page of ordered records. `cursor` of the page is the next `from` (or, in reverse, the next `to`).
    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// A page of all cold records; `cursor` is `None` at first. Pages may be read at different heads, which never go
    /// back. A key that exists from the first page's head to the last one's appears at least once; one that is put or
    /// deleted in between may or may not. Every row stands as it was at its page's head.
    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// Live keys changed since `head`. A store that only one process can open may always answer `TooOld`
    /// to a head that is not its present one.
    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>>;

    /// The store's own clock, ms since 1970 UTC.
    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// A text that changes when the store's content may have been replaced (replication id, system identifier).
    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>>;

    /// Whether only one process can open this store at a time.
    fn exclusive(&self) -> bool;

    /// Room left, cheaply: called for every batch.
    fn room(&self) -> Room;

    /// Counters since it was opened.
    fn counters(&self) -> Counters;

    /// Finishes what is under way and releases the store. Later calls answer `Unavailable`.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
