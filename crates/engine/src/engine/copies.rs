//! Settings that every partition has a copy of: a change is answered when all go by it.

use std::collections::BTreeSet;
use std::time::Duration;

use stint_core::{Partition, PartitionId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::Inner;

/// How long the answer to a change waits for the partitions' copies.
const COPIES: Duration = Duration::from_secs(5);

impl Inner {
    /// Waits until all partitions have a copy that `is_new`; gives back those that don't in time. `changes` names
    /// partitions in which settings changed, since before the change was made.
    pub(super) async fn until_copied(
        &self,
        mut changes: Receiver<PartitionId>,
        is_new: impl Fn(&Partition) -> bool + Clone + Send + 'static,
    ) -> Vec<u32> {
        let until = Instant::now() + COPIES;
        let mut missing: BTreeSet<PartitionId> = PartitionId::all().collect();
        let mut look_at = missing.clone();
        loop {
            for (partition, is_new) in self.look_at(&look_at, is_new.clone(), until).await {
                if is_new {
                    missing.remove(&partition);
                }
            }
            if missing.is_empty() {
                break;
            }
            match timeout_at(until, changes.recv()).await {
                Ok(Ok(partition)) => look_at = missing.intersection(&[partition].into()).copied().collect(),
                // Too many changes at once to follow each: look at all.
                Ok(Err(RecvError::Lagged(_))) => look_at = missing.clone(),
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        missing.into_iter().map(|partition| u32::from(partition.0)).collect()
    }
}
