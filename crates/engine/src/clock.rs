//! The node's clock: the store's, carried on by monotonic time, never back and never frozen.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stint_core::Millis;
use tokio::time::Instant;

/// A store clock further ahead than this is followed only after [`DOUBT`].
const AHEAD_MAX_MS: Millis = 10_000;

/// How long a store clock that is far ahead has to stay there.
const DOUBT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<Reading>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    ms: Millis,
    at: Instant,
    ahead_since: Option<Instant>,
}

impl Clock {
    /// Starts at the store's time.
    pub(crate) fn new(store_ms: Millis) -> Self {
        Self(Mutex::new(Reading { ms: store_ms, at: Instant::now(), ahead_since: None }))
    }

    /// Ms since 1970 UTC.
    pub(crate) fn now(&self) -> Millis {
        self.reading().now()
    }

    /// Takes what the store's clock says, and warns if that is not believed yet.
    pub(crate) fn follow(&self, store_ms: Millis) {
        if self.observe(store_ms) {
            tracing::warn!(store_ms, "the store's clock is far ahead; it is not followed yet");
        }
    }

    /// Takes what the store's clock says; whether it is far ahead of what is believed.
    fn observe(&self, store_ms: Millis) -> bool {
        let mut reading = self.reading();
        let ahead = store_ms - reading.now();
        if ahead <= AHEAD_MAX_MS {
            reading.ahead_since = None;
            if ahead > 0 {
                reading.set(store_ms);
            }
            return false;
        }
        let since = *reading.ahead_since.get_or_insert_with(Instant::now);
        if since.elapsed() < DOUBT {
            return true;
        }
        reading.ahead_since = None;
        reading.set(store_ms);
        false
    }

    /// Whether the store's clock is far ahead, and not followed yet: nothing is trimmed meanwhile.
    pub(crate) fn in_doubt(&self) -> bool {
        self.reading().ahead_since.is_some()
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        // A reading is three plain values, whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn now(&self) -> Millis {
        self.ms.saturating_add(millis(self.at.elapsed()))
    }

    fn set(&mut self, ms: Millis) {
        self.ms = ms;
        self.at = Instant::now();
    }
}

/// A partition's time: the node's, but never behind what was committed there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    ms: Millis,
    at: Instant,
}

impl Floor {
    /// Time goes on from `ms`.
    pub(crate) fn new(ms: Millis) -> Self {
        Self { ms, at: Instant::now() }
    }

    /// The later of the clock and this.
    pub(crate) fn now(&self, clock: &Clock) -> Millis {
        clock.now().max(self.ms.saturating_add(millis(self.at.elapsed())))
    }

    /// From now on not behind `ms`.
    pub(crate) fn raise(&mut self, ms: Millis) {
        if ms > self.ms.saturating_add(millis(self.at.elapsed())) {
            *self = Self::new(ms);
        }
    }
}

/// A duration in whole ms.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_without_the_store_and_never_back() {
        let clock = Clock::new(1_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), 6_000);
        assert!(!clock.observe(2_000));
        assert_eq!(clock.now(), 6_000);
        assert!(!clock.observe(9_000));
        assert_eq!(clock.now(), 9_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_far_ahead_is_followed_only_if_it_stays_there() {
        let clock = Clock::new(0);
        assert!(clock.observe(3_600_000));
        assert!(clock.in_doubt());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(clock.observe(3_630_000));
        assert_eq!(clock.now(), 30_000);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!clock.observe(3_660_000));
        assert_eq!(clock.now(), 3_660_000);
        assert!(!clock.in_doubt());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_came_back_is_no_longer_in_doubt() {
        let clock = Clock::new(0);
        assert!(clock.observe(3_600_000));
        assert!(!clock.observe(0));
        assert!(!clock.in_doubt());
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_never_behind_what_was_committed() {
        let clock = Clock::new(0);
        let mut floor = Floor::new(500);
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(floor.now(&clock), 510);
        floor.raise(400);
        assert_eq!(floor.now(&clock), 510);
        floor.raise(800);
        assert_eq!(floor.now(&clock), 800);
    }
}
