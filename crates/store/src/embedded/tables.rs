//! The four keyspaces, their settings, and the keys in them: the partition's byte before the record's key.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Slice};

use crate::contract::{PartitionId, Table};

/// Bytes of sealed journal that may wait to be flushed: the least there is, because a start replays it. As soon as
/// one journal is sealed, every keyspace in it is flushed and the journal goes.
const JOURNAL_BYTES: u64 = 64 << 20;

/// One thread flushes and compacts. With more, the first only flushes: while the others compact and another
/// compaction waits, it takes that from the queue and puts it back, over and over, on a core of its own. Measured
/// on two cores: one worker takes 1.9 us of processor per write, two take 3.5, three 2.9.
const WORKERS: usize = 1;

/// Size of a table file. With one worker a flush waits for the compaction under way, so that has to be short.
const TABLE_BYTES: u64 = 32 << 20;

/// Handles to the keyspaces.
pub(super) struct Tables {
    pub(super) live: Keyspace,
    pub(super) cold: Keyspace,
    pub(super) ordered: Keyspace,
    pub(super) heads: Keyspace,
}

impl Tables {
    pub(super) fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Live => &self.live,
            Table::Cold => &self.cold,
            Table::Ordered => &self.ordered,
        }
    }
}

/// Opens (or creates) the database in `path` with its keyspaces.
pub(super) fn open(path: &Path, cache_bytes: u64) -> fjall::Result<(Database, Tables)> {
    let database = Database::builder(path)
        .cache_size(cache_bytes)
        .max_journaling_size(JOURNAL_BYTES)
        .worker_threads(WORKERS)
        // A journal entry's checksum is taken over what the compressor makes of it, and checked by compressing
        // again: another version of the compressor must not be able to make a journal unreadable.
        .journal_compression(CompressionType::None)
        .open()?;
    let tables = Tables {
        // Small and hot, and loaded whole at every start: small tables keep deletes and what they delete close
        // together, so that compaction drops both early.
        live: database.keyspace("live", || hot(16 << 20))?,
        cold: database.keyspace("cold", warm)?,
        ordered: database.keyspace("ordered", warm)?,
        heads: database.keyspace("heads", || hot(4 << 20))?,
    };
    Ok((database, tables))
}

/// Never compressed, in small tables.
fn hot(table_bytes: u64) -> KeyspaceCreateOptions {
    options(table_bytes).data_block_compression_policy(CompressionPolicy::disabled())
}

/// Compressed from the third level down, where most of it ends up.
fn warm() -> KeyspaceCreateOptions {
    options(TABLE_BYTES)
}

fn options(table_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        // Never by itself: see the rotator.
        .max_memtable_size(u64::MAX)
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(table_bytes)))
}

/// Builds keys in one buffer.
#[derive(Default)]
pub(super) struct KeyBuffer(Vec<u8>);

impl KeyBuffer {
    /// The key of a record, valid until the next is built.
    pub(super) fn key(&mut self, partition: PartitionId, key: &[u8]) -> &[u8] {
        self.0.clear();
        self.0.push(partition.0);
        self.0.extend_from_slice(key);
        &self.0
    }

    /// The key of a record, to keep.
    pub(super) fn slice(&mut self, partition: PartitionId, key: &[u8]) -> Slice {
        Slice::from(self.key(partition, key))
    }
}

/// The record's key in a stored key.
pub(super) fn record_key(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}
