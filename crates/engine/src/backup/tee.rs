//! What a partition commits while it is exported, handed over in order.
//!
//! The actor sends every batch that it is told is committed, from the one in flight when the tee began. What waits to be
//! taken is bounded: an export that is too slow loses its tee, never the partition its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use stint_store::{Batch, Head};
use tokio::sync::mpsc;

/// Bytes of batches that may wait for a slow export.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// The actor's end.
pub(crate) struct Tee {
    to: mpsc::UnboundedSender<Teed>,
    waiting: Arc<AtomicUsize>,
}

/// The export's end.
pub(crate) struct Teeing {
    from: mpsc::UnboundedReceiver<Teed>,
    waiting: Arc<AtomicUsize>,
    /// Where the partition stood when the tee began.
    pub(crate) head: Head,
}

/// What comes through a tee.
pub(crate) enum Teed {
    /// A batch was committed.
    Batch(Arc<Batch>),
    /// Nothing more comes, for this reason: begin again.
    Broken(&'static str),
}

/// Both ends of a tee that begins at this head.
pub(crate) fn tee(head: Head) -> (Tee, Teeing) {
    let (to, from) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Tee { to, waiting: waiting.clone() }, Teeing { from, waiting, head })
}

impl Tee {
    /// Hands a committed batch over; whether the tee goes on.
    pub(crate) fn committed(&self, batch: &Arc<Batch>) -> bool {
        let before = self.waiting.fetch_add(batch.bytes(), Relaxed);
        if before > WAITING_BYTES_MAX {
            self.broken("it commits faster than the backup is taken away");
            return false;
        }
        self.to.send(Teed::Batch(batch.clone())).is_ok()
    }

    /// Ends it.
    pub(crate) fn broken(&self, why: &'static str) {
        // The export may have gone.
        _ = self.to.send(Teed::Broken(why));
    }
}

impl Teeing {
    /// The next batch; `None` when the partition is not served any more.
    pub(crate) async fn next(&mut self) -> Option<Teed> {
        let teed = self.from.recv().await?;
        if let Teed::Batch(batch) = &teed {
            self.waiting.fetch_sub(batch.bytes(), Relaxed);
        }
        Some(teed)
    }
}
