//! The system's clock, read in this one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// The system's time in ms since 1970 UTC.
pub(crate) fn system_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
