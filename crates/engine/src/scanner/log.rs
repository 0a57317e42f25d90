//! The log is kept for 24 h or 64 MiB a partition, whichever ends first.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use stint_core::event::decode_log;
use stint_core::{Key, Millis, PARTITIONS, PartitionId, Table};
use stint_store as store;

use super::{Scanned, Scanner};
use crate::node::Shared;
use crate::partition::Message;

/// A log record is kept this long.
const KEPT_MS: Millis = 24 * 3_600 * 1_000;

/// Bytes of log kept in a partition.
const KEPT_BYTES: u64 = 64 << 20;

/// A partition is looked at again after this time, if it has written.
const EVERY_MS: Millis = 10 * 60 * 1_000;

/// A partition that has written so much since the last pass is looked at at once.
const WRITTEN_MAX: u64 = KEPT_BYTES / 8;

/// Log records of one read, and so of one batch.
const ROWS: usize = 500;

/// What is known of one partition's log.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Bytes in the store, once they were summed.
    bytes: Option<u64>,
    /// [`Trims::log_bytes`](super::Trims::log_bytes) as far as it is in `bytes`.
    counted: u64,
    /// When it was last looked at.
    at: Millis,
}

/// See the module.
pub(super) struct LogTrimmer {
    shared: Arc<Shared>,
    known: Mutex<Vec<Known>>,
}

impl LogTrimmer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let at = shared.clock.now();
        let known = vec![Known { at, ..Known::default() }; usize::from(PARTITIONS)];
        Self { shared, known: Mutex::new(known) }
    }

    async fn scan(&self, partition: PartitionId, now: Millis) -> Scanned {
        match self.trim(partition, now).await {
            Ok(processed) => Scanned { processed, errors: 0 },
            Err(error) => {
                tracing::warn!(partition = partition.0, %error, "the log can't be read");
                Scanned { processed: 0, errors: 1 }
            }
        }
    }

    async fn trim(&self, partition: PartitionId, now: Millis) -> Result<usize, store::StoreError> {
        let written = self.shared.trims.log_bytes(partition);
        let mut known = self.get(partition);
        let mut bytes = match known.bytes {
            Some(bytes) => bytes + (written - known.counted),
            None => self.sum(partition).await?,
        };
        let mut trimmed = 0;
        let mut range = store::Range::prefix(b"g", ROWS);
        loop {
            let page = self.shared.store.range(store::PartitionId(partition.0), range.clone()).await?;
            let mut old = Vec::new();
            for (row, value) in &page.rows {
                // What can't be read is kept until it is one too many.
                let at = decode_log(value).ok().and_then(|events| Some(events.first()?.at)).unwrap_or(now);
                if now - at <= KEPT_MS && bytes <= KEPT_BYTES {
                    break;
                }
                bytes = bytes.saturating_sub(value.len() as u64);
                old.push(Key { table: Table::Ordered, bytes: row.clone() });
            }
            let all = old.len() == page.rows.len();
            trimmed += old.len();
            if !old.is_empty() {
                self.shared.send(partition, Message::Forget(old));
            }
            match page.cursor {
                Some(cursor) if all => range.from = cursor,
                _ => break,
            }
        }
        known = Known { bytes: Some(bytes), counted: written, at: now };
        self.set(partition, known);
        Ok(trimmed)
    }

    /// Bytes of the whole log, once per process and partition, and only if it writes.
    async fn sum(&self, partition: PartitionId) -> Result<u64, store::StoreError> {
        let mut range = store::Range::prefix(b"g", ROWS);
        let mut bytes = 0;
        loop {
            let page = self.shared.store.range(store::PartitionId(partition.0), range.clone()).await?;
            bytes += page.rows.iter().map(|(_, value)| value.len() as u64).sum::<u64>();
            match page.cursor {
                Some(cursor) => range.from = cursor,
                None => return Ok(bytes),
            }
            tokio::task::yield_now().await;
        }
    }

    fn get(&self, partition: PartitionId) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    fn set(&self, partition: PartitionId, value: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(usize::from(partition.0)) {
            *known = value;
        }
    }

    /// When a partition is worth a look; never, if it has not written since the last.
    fn due(&self, partition: PartitionId) -> Millis {
        let known = self.get(partition);
        match self.shared.trims.log_bytes(partition) - known.counted {
            0 => Millis::MAX,
            WRITTEN_MAX.. => Millis::MIN,
            _ => known.at + EVERY_MS,
        }
    }
}

impl Scanner for LogTrimmer {
    fn name(&self) -> &'static str {
        "log"
    }

    fn filter(&self, partition: PartitionId, now: Millis) -> bool {
        self.due(partition) <= now
    }

    fn next(&self) -> Millis {
        // An idle partition's log grows old without a commit; it is trimmed when it writes again.
        PartitionId::all().map(|partition| self.due(partition)).min().unwrap_or(Millis::MAX)
    }

    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned> {
        Box::pin(self.scan(partition, now))
    }
}
