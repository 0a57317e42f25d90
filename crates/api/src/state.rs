//! What an execution is doing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An execution's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecutionState {
    /// Waits for its time: `run_at`, a delay, or the next attempt.
    Scheduled,
    /// Waits for something else, which `reason` names.
    Blocked,
    /// Waits for a worker.
    Ready,
    /// A worker holds its lease.
    Running,
    /// Waits for the outside, without a lease.
    Suspended,
    /// Ended with an output.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody said so.
    Cancelled,
    /// Ended because its time was over.
    Expired,
    /// Ended without running, because it was not needed.
    Skipped,
    /// Finished and no longer kept; only its key is remembered.
    Trimmed,
}

impl ExecutionState {
    /// Whether nothing will happen any more, short of a replay.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired | Self::Skipped | Self::Trimmed
        )
    }

    /// The state as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Skipped => "skipped",
            Self::Trimmed => "trimmed",
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
