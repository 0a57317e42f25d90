//! `POST leases` and heartbeats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::worker::validate_claim;
use crate::{Amounts, CLAIM_LEASES, Instant, Payload, Problem, Progress, StepEntry, WorkerRef, check};

/// Asks for work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LeaseRequest {
    /// Who asks.
    pub worker: WorkerRef,
    /// The lanes it serves.
    pub lanes: Vec<String>,
    /// The kinds it runs; none named is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// How many leases it wants at most: 1 unless given.
    #[serde(default = "one")]
    pub max: u32,
    /// How long to wait if there is nothing now: not at all unless given.
    #[serde(default)]
    pub wait_ms: u64,
    /// Whose work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What the worker got.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseReply {
    /// The leases, best first; none if nothing came up in time.
    pub leases: Vec<Lease>,
    /// The worker is asked to finish what it holds and end: it gets no more leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// A worker's hold on an attempt, with all it needs to run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lease {
    /// Opaque: names execution and epoch and proves the right to speak for it. A secret.
    pub lease: String,
    /// How long it lives without a heartbeat, from when the request was sent.
    pub ttl_ms: u64,
    /// What to run.
    pub execution: LeasedExecution,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The journal of earlier attempts.
    #[serde(default)]
    pub steps: Vec<StepEntry>,
    /// What is held for it, by budget: less than it wants where its caps leave less, and what was learned where it says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldBudget>,
}

/// What is held of one budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldBudget {
    /// Its path.
    pub path: String,
    /// How much.
    pub amounts: Amounts,
}

/// An execution, as its worker sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeasedExecution {
    /// Its id.
    pub id: String,
    /// Which handler runs it.
    pub kind: String,
    /// The lane it came from.
    pub lane: String,
    /// Whose it is.
    pub namespace: String,
    /// What the handler gets.
    pub input: Payload,
    /// Its priority.
    pub priority: i32,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// When it was submitted.
    pub submitted_at: Instant,
    /// When the whole execution must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Instant>,
    /// How long this attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// W3C trace context of the submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Keeps a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// How far the attempt has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The lease lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatReply {
    /// For this long, from when the heartbeat was sent.
    pub ttl_ms: u64,
    /// Whether to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// Asks a worker to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stop {
    /// Why.
    pub reason: String,
    /// After this the lease is taken away.
    pub grace_ms: u64,
    /// What becomes of the execution when its worker has stopped.
    #[serde(default)]
    pub action: StopAction,
}

/// What becomes of an execution whose worker is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StopAction {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It waits for money, and goes on from its journal: answer with `suspended`.
    Suspend,
    /// It fails.
    Fail,
}

objects_only!(LeaseRequest, HeartbeatRequest);

impl LeaseRequest {
    /// Checks names and ranges.
    pub fn validate(&self) -> Result<(), Problem> {
        self.worker.validate().map_err(|problem| problem.within("worker"))?;
        validate_claim(&self.lanes, &self.kinds, self.wait_ms)?;
        check::range("max", self.max, 1, CLAIM_LEASES)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl HeartbeatRequest {
    /// Checks the progress.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(progress) = &self.progress {
            progress.validate().map_err(|problem| problem.within("progress"))?;
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

fn one() -> u32 {
    1
}
