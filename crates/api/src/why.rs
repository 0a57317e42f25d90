//! `GET executions/{id}/why`.

use serde::{Deserialize, Serialize};

use crate::{ExecutionState, Instant, Shortfall};

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
    /// Of `budget`: which, and what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<WaitingForBudget>,
}

/// How an execution waits for a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaitingForBudget {
    /// The budget that it names.
    pub path: String,
    /// Its place, from 1, among those who wait in the tree's queue and those of its lane, kind and budgets that have not asked
    /// yet; absent if the tree does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// An execution that names the same budgets and goes first: it has not asked itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// What is missing; absent if it waits only for those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Shortfall>,
    /// Since when it waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
}
