//! Pauses between tries of a store that does not answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// A series of pauses, each twice the one before.
pub(crate) struct Pauses(<ExponentialBuilder as BackoffBuilder>::Backoff);

/// A new series. Without jitter: at most one caller per partition, and a seed must stay a history.
pub(crate) fn pauses() -> Pauses {
    Pauses(
        ExponentialBuilder::default()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .without_max_times()
            .build(),
    )
}

impl Pauses {
    /// Waits for the next pause to be over.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0.next().unwrap_or(LONGEST)).await;
    }
}
