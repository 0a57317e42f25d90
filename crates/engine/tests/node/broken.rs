//! A store whose disk can be made to fail or to be full, and that remembers what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stint_store::memory::MemoryStore;
use stint_store::{
    Batch, Changes, Committed, Counters, Head, Page, PartitionId, Range, Room, Store, StoreError, Table,
    Values,
};

#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) inner: MemoryStore,
    pub(crate) broken: AtomicBool,
    pub(crate) full: AtomicBool,
    /// Commits that were asked for.
    pub(crate) asked: AtomicU64,
    /// Writes of the largest of them.
    pub(crate) largest: AtomicUsize,
}

impl Broken {
    pub(crate) fn new(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            broken: AtomicBool::new(false),
            full: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            largest: AtomicUsize::new(0),
        })
    }
}

impl Store for Broken {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        if self.broken.load(Relaxed) {
            return Box::pin(std::future::ready(Err(StoreError::Fatal("the disk is gone".to_owned()))));
        }
        self.asked.fetch_add(1, Relaxed);
        self.largest.fetch_max(batch.writes.len(), Relaxed);
        if self.full.load(Relaxed) {
            return Box::pin(std::future::ready(Err(StoreError::Full("no room".to_owned()))));
        }
        self.inner.commit(partition, expected, batch)
    }
    fn get(&self, p: PartitionId, keys: Vec<(Table, Bytes)>) -> BoxFuture<'_, Result<Values, StoreError>> {
        self.inner.get(p, keys)
    }
    fn load(&self, p: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner.load(p, cursor)
    }
    fn range(&self, p: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner.range(p, range)
    }
    fn scan(&self, p: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner.scan(p, cursor)
    }
    fn changes(&self, p: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.inner.changes(p, since)
    }
    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        self.inner.clock()
    }
    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        self.inner.identity()
    }
    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }
    fn room(&self) -> Room {
        self.inner.room()
    }
    fn counters(&self) -> Counters {
        self.inner.counters()
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}
