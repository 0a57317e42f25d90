//! When each partition next has something to trim, as far as commits and passes tell.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use stint_core::model::RETENTION_MS;
use stint_core::{Key, Millis, PARTITIONS, PartitionId, Table};
use tokio::sync::Notify;

/// When the record under an index key is to be trimmed; [`Millis::MAX`] for all other keys.
pub(crate) fn trim_time(key: &Key) -> Millis {
    if key.table != Table::Ordered {
        return Millis::MAX;
    }
    let at =
        || key.bytes.get(1..9).and_then(|at| at.try_into().ok()).map_or(Millis::MAX, Millis::from_be_bytes);
    match key.bytes.first() {
        Some(b'e') => at().saturating_add(RETENTION_MS),
        Some(b'f' | b'y') => at(),
        _ => Millis::MAX,
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Trims {
    partitions: Vec<Marks>,
    lowered: Notify,
}

#[derive(Debug)]
struct Marks {
    /// The earliest instant at which something may be due. At the start: unknown, so at once.
    due: AtomicI64,
    /// Bytes of log written by this process.
    log_bytes: AtomicU64,
    /// Batches that this process has committed.
    batches: AtomicU64,
}

impl Default for Trims {
    fn default() -> Self {
        let marks = || Marks {
            due: AtomicI64::new(Millis::MIN),
            log_bytes: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        };
        Self { partitions: (0..PARTITIONS).map(|_| marks()).collect(), lowered: Notify::new() }
    }
}

impl Trims {
    /// A batch was committed that wrote so much log, and something that is to be trimmed at `trim_at`.
    pub(crate) fn written(&self, partition: PartitionId, trim_at: Millis, log_bytes: u64) {
        let Some(marks) = self.marks(partition) else { return };
        marks.log_bytes.fetch_add(log_bytes, Relaxed);
        marks.batches.fetch_add(1, Relaxed);
        if trim_at < Millis::MAX && marks.due.fetch_min(trim_at, Relaxed) > trim_at {
            self.lowered.notify_waiters();
        }
    }

    /// Batches that this process has committed there.
    pub(crate) fn batches(&self, partition: PartitionId) -> u64 {
        self.marks(partition).map_or(0, |marks| marks.batches.load(Relaxed))
    }

    /// When something may be due in a partition.
    pub(crate) fn due(&self, partition: PartitionId) -> Millis {
        self.marks(partition).map_or(Millis::MAX, |marks| marks.due.load(Relaxed))
    }

    /// The earliest of all partitions.
    pub(crate) fn next(&self) -> Millis {
        self.partitions.iter().map(|marks| marks.due.load(Relaxed)).min().unwrap_or(Millis::MAX)
    }

    /// A pass begins: from now on commits note what they write anew.
    pub(crate) fn begin(&self, partition: PartitionId) {
        if let Some(marks) = self.marks(partition) {
            marks.due.store(Millis::MAX, Relaxed);
        }
    }

    /// A pass has found that something may be due at `at`.
    pub(crate) fn found(&self, partition: PartitionId, at: Millis) {
        if let Some(marks) = self.marks(partition) {
            marks.due.fetch_min(at, Relaxed);
        }
    }

    /// Bytes of log written by this process.
    pub(crate) fn log_bytes(&self, partition: PartitionId) -> u64 {
        self.marks(partition).map_or(0, |marks| marks.log_bytes.load(Relaxed))
    }

    /// Resolves when something is due earlier than was known.
    pub(crate) fn lowered(&self) -> impl Future<Output = ()> + '_ {
        self.lowered.notified()
    }

    fn marks(&self, partition: PartitionId) -> Option<&Marks> {
        self.partitions.get(usize::from(partition.0))
    }
}

#[cfg(test)]
mod tests {
    use stint_core::{ExecutionId, key};

    use super::*;

    #[test]
    fn index_keys_tell_when_their_records_go() {
        let id = ExecutionId([3; 16]);
        assert_eq!(trim_time(&key::ended(1_000, id)), 1_000 + RETENTION_MS);
        assert_eq!(trim_time(&key::trim(1_000, id)), 1_000);
        assert_eq!(trim_time(&key::key_trim(7, [1; 16])), 7);
        assert_eq!(trim_time(&key::log(7)), Millis::MAX);
        assert_eq!(trim_time(&key::archive(id)), Millis::MAX);
    }
}
