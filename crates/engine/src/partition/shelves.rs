//! What lists need of a projection is built when somebody lists, and forgotten when nobody does any more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Actor, Errand};

/// Executions put on shelves in one go: well below a millisecond.
const STEP: usize = 1_000;

/// Shelves are kept for so long after the last list.
const KEPT: Duration = Duration::from_secs(600);

/// When somebody last listed.
#[derive(Debug)]
pub(crate) struct Listed {
    since: Instant,
    last_ms: AtomicU64,
}

impl Default for Listed {
    fn default() -> Self {
        Self { since: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Listed {
    /// Somebody lists now.
    pub(crate) fn note(&self) {
        self.last_ms.store(self.now_ms(), Relaxed);
    }

    /// How long the shelves are still to be kept.
    fn left(&self) -> Duration {
        KEPT.saturating_sub(Duration::from_millis(self.now_ms().saturating_sub(self.last_ms.load(Relaxed))))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Actor {
    /// Goes on building shelves, and says whether they are complete.
    pub(super) fn shelve(&mut self, reply: oneshot::Sender<bool>) {
        let complete = self.projection.shelve(STEP);
        if !self.shelved {
            self.shelved = true;
            self.unshelve_after(KEPT);
        }
        // Whoever lists may have gone.
        _ = reply.send(complete);
    }

    /// Forgets the shelves, unless somebody has listed lately.
    pub(super) fn unshelve(&mut self) {
        let left = self.shared.listed.left();
        if left.is_zero() {
            self.projection.unshelve();
            self.shelved = false;
        } else {
            self.unshelve_after(left);
        }
    }

    fn unshelve_after(&mut self, wait: Duration) {
        self.errands.push(Box::pin(async move {
            tokio::time::sleep(wait).await;
            Errand::Unshelve
        }));
    }
}
