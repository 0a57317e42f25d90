//! `GET executions/{id}` and its result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decode::present;
use crate::{Amounts, BudgetUse, ExecutionState, Failure, Instant, Payload, Progress};

/// Everything about an execution but its input and output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub namespace: String,
    /// Which handler runs it.
    pub kind: String,
    /// The queue it stands in.
    pub lane: String,
    /// What it is doing.
    pub state: ExecutionState,
    /// Why it is blocked, or why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// -100 to 100.
    pub priority: i32,
    /// What it is found by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Whose turn it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_key: Option<String>,
    /// The key it was submitted under, if it named one itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// How many attempts ended without their worker's word.
    #[serde(default)]
    pub crashes: u32,
    /// How many leases it has had.
    pub epoch: u64,
    /// When it was submitted.
    pub submitted_at: Instant,
    /// When it is due, if that is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Instant>,
    /// When it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Instant>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// How far the present attempt has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// W3C trace context of the submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What it may spend from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetUse>,
    /// Spent over all its attempts.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub spent: Amounts,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptView {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who ran it.
    pub worker: String,
    /// When it started.
    pub started_at: Instant,
    /// When it ended; `null` while it runs.
    pub ended_at: Option<Instant>,
    /// How it ended; `null` while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What its worker said last of its progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it spent.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub spent: Amounts,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// With an output.
    Completed,
    /// With an error.
    Failed,
    /// Its lease expired.
    Crashed,
    /// It took too long.
    TimedOut,
    /// The execution was cancelled.
    Cancelled,
    /// Its lease was taken away.
    Revoked,
    /// The execution's time was over.
    Expired,
}

/// `GET executions/{id}/result`. A state that is not terminal means that the wait was over first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultReply {
    /// What it is doing.
    pub state: ExecutionState,
    /// What it gave, if it completed.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}
