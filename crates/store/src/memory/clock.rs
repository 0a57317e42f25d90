//! The store's clock: the system's, or one that follows tokio's virtual time and can be made to jump.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::clock::system_ms;

/// Which clock a memory store has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreClock {
    /// The system's.
    System,
    /// Starts at this many ms since 1970 UTC and runs with tokio's time, so it stands still while that is paused.
    Virtual(i64),
}

/// A clock that runs.
#[derive(Debug)]
pub(super) struct Running {
    clock: StoreClock,
    since: Instant,
    jumped_ms: AtomicI64,
}

impl Running {
    pub(super) fn new(clock: StoreClock) -> Self {
        Self { clock, since: Instant::now(), jumped_ms: AtomicI64::new(0) }
    }

    pub(super) fn jump(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Relaxed);
    }

    pub(super) fn now_ms(&self) -> i64 {
        let now = match self.clock {
            StoreClock::System => system_ms(),
            StoreClock::Virtual(start) => {
                start.saturating_add(i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
        };
        now.saturating_add(self.jumped_ms.load(Relaxed))
    }
}
