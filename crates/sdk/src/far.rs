//! Points in time that a caller may want to be as far away as there is.

use std::time::Duration;

use tokio::time::Instant;

/// As good as never, and not beyond what clocks can say.
const NEVER: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// When this much time will have passed: `Duration::MAX` waits without end.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(NEVER)
}
