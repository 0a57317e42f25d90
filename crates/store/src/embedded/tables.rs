//! The four keyspaces, their settings, and the keys in them: the partition's byte before the record's key.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Slice};

use crate::contract::{PartitionId, Table};

/// Bytes of journal that may wait to be flushed. It bounds what a start replays.
const JOURNAL_BYTES: u64 = 128 << 20;

/// With one worker flushes wait behind compactions; from the second on, one only flushes.
const WORKERS: usize = 2;

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
        live: database.keyspace("live", || {
            hot()
                .max_memtable_size(16 << 20)
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(16 << 20)))
        })?,
        cold: database.keyspace("cold", || KeyspaceCreateOptions::default().max_memtable_size(32 << 20))?,
        ordered: database
            .keyspace("ordered", || KeyspaceCreateOptions::default().max_memtable_size(16 << 20))?,
        // 65 heads and a few committers, overwritten all the time and read only at a start.
        heads: database.keyspace("heads", || hot().max_memtable_size(4 << 20))?,
    };
    Ok((database, tables))
}

fn hot() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().data_block_compression_policy(CompressionPolicy::disabled())
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
