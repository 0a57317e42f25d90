//! `GET executions/{id}/why`.

use serde::{Deserialize, Serialize};

use crate::{ExecutionState, Instant};

/// What an execution waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhyReply {
    /// What it is doing.
    pub state: ExecutionState,
    /// What stands in its way, the first thing first; nothing if it runs or has ended.
    pub waiting_for: Vec<Waiting>,
    /// When that will change, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}

/// One thing that stands in an execution's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// What kind of thing, for programs.
    pub reason: String,
    /// Which one exactly, for people.
    pub detail: String,
    /// When it will be gone, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}
