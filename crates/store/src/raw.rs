//! Batches of a given shape, committed as fast as a store takes them: what a bench compares the engine with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use crate::contract::{
    Batch, Committed, Counters, Head, NodeId, PartitionId, Store, StoreError, Table, Write,
};

/// A key holds a number.
const KEY_BYTES_MIN: usize = 8;

/// What is committed, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawShape {
    /// Partitions that commit beside each other, each one batch at a time.
    pub partitions: u8,
    /// Writes in a batch.
    pub writes: usize,
    /// Of them deletes of live keys put earlier.
    pub deletes: usize,
    /// Bytes of a key, at least 8.
    pub key_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
}

impl Default for RawShape {
    /// Eight partitions, 32 commands of five writes.
    fn default() -> Self {
        Self { partitions: 8, writes: 160, deletes: 32, key_bytes: 24, value_bytes: 100 }
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RawResult {
    /// How long it took.
    pub elapsed: Duration,
    /// What the store counted meanwhile; the longest commit is that of the store's whole life.
    pub counters: Counters,
}

impl RawResult {
    /// So many a second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Commits batches of this shape, from where each partition stands, for as long as asked, each partition in its own task.
pub async fn run(store: Arc<dyn Store>, shape: RawShape, lasting: Duration) -> Result<RawResult, StoreError> {
    let before = store.counters();
    let since = Instant::now();
    let tasks: Vec<_> = (0..shape.partitions)
        .map(|p| tokio::spawn(commit_on(store.clone(), PartitionId(p), shape, since, lasting)))
        .collect();
    for task in tasks {
        task.await.map_err(|e| StoreError::Fatal(format!("a committing task ended: {e}")))??;
    }
    let (elapsed, after) = (since.elapsed(), store.counters());
    let counters = Counters {
        commits: after.commits - before.commits,
        writes: after.writes - before.writes,
        bytes: after.bytes - before.bytes,
        syncs: after.syncs - before.syncs,
        longest_commit_us: after.longest_commit_us,
    };
    Ok(RawResult { elapsed, counters })
}

async fn commit_on(
    store: Arc<dyn Store>,
    partition: PartitionId,
    shape: RawShape,
    since: Instant,
    lasting: Duration,
) -> Result<(), StoreError> {
    let mut at = store.get(partition, Vec::new()).await?.head;
    let mut made = Maker::new(shape);
    while since.elapsed() < lasting {
        let next = Head { version: at.version + 1, nonce: at.nonce + 1, committer: NodeId(1), ..at };
        let batch = Batch { next, incarnation: 1, writes: made.writes(), absent: Vec::new() };
        match store.commit(partition, at, Arc::new(batch)).await? {
            Committed::Yes(head) => at = head,
            other => return Err(StoreError::Fatal(format!("somebody else uses this store: {other:?}"))),
        }
    }
    Ok(())
}

/// Makes batches, cheaply, so that the store is what is measured: most writes put new keys, spread over all tables;
/// deletes take the oldest live ones away.
struct Maker {
    shape: RawShape,
    value: Bytes,
    put: u64,
    deleted: u64,
}

impl Maker {
    fn new(shape: RawShape) -> Self {
        let shape = RawShape { key_bytes: shape.key_bytes.max(KEY_BYTES_MIN), ..shape };
        // Noise, so that no compressor makes the bytes fewer than they are.
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        Self { shape, value: noise.take(shape.value_bytes).collect(), put: 0, deleted: 0 }
    }

    fn writes(&mut self) -> Vec<Write> {
        let mut keys = BytesMut::with_capacity(self.shape.writes * self.shape.key_bytes);
        let mut writes = Vec::with_capacity(self.shape.writes);
        for n in 0..self.shape.writes {
            let table = match n % 5 {
                0 => Table::Live,
                4 => Table::Ordered,
                _ => Table::Cold,
            };
            if n < self.shape.deletes && self.deleted < self.put {
                let key = self.key(&mut keys, self.deleted);
                writes.push(Write { table: Table::Live, key, value: None });
                self.deleted += 1;
            } else {
                let number = if table == Table::Live { self.put } else { self.put << 16 | n as u64 };
                self.put += u64::from(table == Table::Live);
                writes.push(Write {
                    table,
                    key: self.key(&mut keys, number),
                    value: Some(self.value.clone()),
                });
            }
        }
        writes
    }

    fn key(&self, keys: &mut BytesMut, number: u64) -> Bytes {
        keys.put_bytes(b'k', self.shape.key_bytes - KEY_BYTES_MIN);
        keys.put_u64(number);
        keys.split().freeze()
    }
}
