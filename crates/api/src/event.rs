//! `GET executions/{id}/events`.

use serde::{Deserialize, Serialize};

use crate::Instant;

/// Something that happened to an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecutionEvent {
    /// Where to go on from: the `id` of the server-sent event, to be given back as `Last-Event-ID`. Opaque.
    pub cursor: String,
    /// What: `submitted`, `ready`, `leased`, `released`, `crashed`, `attempt_failed`, `attempt_timed_out`, `revoked`,
    /// `cancel_requested`, `paused`, `resumed`, `priority_changed`, `replayed`, `completed`, `failed`, `cancelled`,
    /// `expired`. Later versions may add others.
    pub event: String,
    /// When.
    pub at: Instant,
    /// The attempt it was, 0 before the first.
    pub attempt: u32,
    /// The execution's id.
    pub execution: String,
}

/// What is kept of an execution's events: its submission and the last hundred since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsReply {
    /// The events, oldest first.
    pub events: Vec<ExecutionEvent>,
}

impl ExecutionEvent {
    /// Whether nothing follows it but a replay.
    pub fn is_end(&self) -> bool {
        matches!(self.event.as_str(), "completed" | "failed" | "cancelled" | "expired" | "skipped")
    }
}
