//! A store that remembers its first batches, and their replay on another: what a bench compares the engine with.
//!
//! The replay commits the very same bytes in the very same batches, with nothing else to do, so that the engine's
//! share of the store's own rate can be told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::around::Around;
use crate::contract::{Batch, Committed, Head, PartitionId, Store, StoreError};

/// A batch, and the head it was applied to.
type Recorded = (Head, Arc<Batch>);

/// Passes everything on and keeps the batches that were committed, from the store's first on, up to a number of writes.
#[derive(Debug)]
pub struct Recording {
    store: Arc<dyn Store>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// By partition, each in its order.
    batches: Vec<Vec<Recorded>>,
    /// Writes that there is still room for.
    room: usize,
}

/// What a replay came to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Replayed {
    /// Batches committed.
    pub commits: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// Most partitions that committed beside each other.
    pub partitions: usize,
}

impl Recording {
    /// Records the first `writes` writes that a fresh store is asked for, to the end of a batch.
    pub fn of(store: Arc<dyn Store>, writes: usize) -> Arc<Self> {
        let batches = vec![Vec::new(); usize::from(u8::MAX) + 1];
        Arc::new(Self { store, kept: Mutex::new(Kept { batches, room: writes }) })
    }

    /// Commits what was recorded to another fresh store, as fast as it takes it: every partition in a task of its own.
    pub async fn replay(&self, onto: &Arc<dyn Store>) -> Result<Replayed, StoreError> {
        let batches = std::mem::take(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner).batches);
        let since = Instant::now();
        let tasks: Vec<_> = (0..=u8::MAX)
            .zip(batches)
            .filter(|(_, batches)| !batches.is_empty())
            .map(|(p, batches)| tokio::spawn(commit_all(onto.clone(), PartitionId(p), batches)))
            .collect();
        let partitions = tasks.len();
        let mut commits = 0;
        for task in tasks {
            commits +=
                task.await.map_err(|e| StoreError::Fatal(format!("a committing task ended: {e}")))??;
        }
        Ok(Replayed { commits, elapsed: since.elapsed(), partitions })
    }

    fn keep(&self, partition: PartitionId, expected: Head, batch: Arc<Batch>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.room == 0 {
            return;
        }
        kept.room = kept.room.saturating_sub(batch.writes.len().max(1));
        if let Some(batches) = kept.batches.get_mut(usize::from(partition.0)) {
            batches.push((expected, batch));
        }
    }
}

async fn commit_all(
    store: Arc<dyn Store>,
    partition: PartitionId,
    batches: Vec<Recorded>,
) -> Result<u64, StoreError> {
    let mut commits = 0;
    for (expected, batch) in batches {
        match store.commit(partition, expected, batch).await? {
            Committed::Yes(_) => commits += 1,
            other => return Err(StoreError::Fatal(format!("the store was not fresh: {other:?}"))),
        }
    }
    Ok(commits)
}

impl Around for Recording {
    fn inner(&self) -> &dyn Store {
        &*self.store
    }

    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            let answer = self.store.commit(partition, expected, batch.clone()).await;
            if matches!(answer, Ok(Committed::Yes(_))) {
                self.keep(partition, expected, batch);
            }
            answer
        })
    }
}
