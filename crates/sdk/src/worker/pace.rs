//! How soon to speak again after a failure.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff};
use tokio::time::Instant;

use crate::{Randomness, retry};

/// Growing waits, forgotten at the first success.
#[derive(Debug)]
pub(super) struct Pace {
    randomness: Randomness,
    waits: Option<ExponentialBackoff>,
    until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(randomness: Randomness) -> Self {
        Self { randomness, waits: None, until: None }
    }

    /// Before this nothing is said.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.until
    }

    pub(super) fn reset(&mut self) {
        self.waits = None;
        self.until = None;
    }

    /// Waits longer than the last time, and at least as long as the server asks.
    pub(super) fn back_off(&mut self, asked_ms: Option<u64>) {
        let randomness = &self.randomness;
        let waits = self.waits.get_or_insert_with(|| retry::backoff(randomness).build());
        let own = waits.next().unwrap_or_default();
        self.until = Some(Instant::now() + own.max(Duration::from_millis(asked_ms.unwrap_or(0))));
    }
}
