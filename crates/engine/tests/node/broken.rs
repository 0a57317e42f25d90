//! A store whose disk can be made to fail or to be full, and that remembers what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use futures_util::future::BoxFuture;
use stint_store::memory::MemoryStore;
use stint_store::{Around, Batch, Committed, Head, PartitionId, Store, StoreError};

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

impl Around for Broken {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

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
}
