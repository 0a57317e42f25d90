//! `POST executions`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::budget_use::check_uses;
use crate::object::{objects_only, unique_keys};
use crate::{
    BudgetUse, Code, ExecutionState, FAIRNESS_KEY_BYTES, IDEMPOTENCY_KEY_CHARS, Instant, LEASE_TTL_MS_MAX,
    LEASE_TTL_MS_MIN, Limits, MAX_CRASHES, PRIORITY_MAX, PRIORITY_MIN, Payload, Problem, Retry, check,
};

/// A piece of work to be run to an end. What is absent has core's default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SubmitRequest {
    /// Which handler runs it.
    pub kind: String,
    /// What the handler gets; absent is `null`.
    #[serde(default)]
    pub input: Payload,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The queue it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// -100 to 100, higher first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// What a worker should rather be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
    /// Not before this instant. Excludes `delay_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Instant>,
    /// Not before this long after submission. Excludes `run_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Give up if no attempt has started this long after submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ttl_ms: Option<u64>,
    /// How long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// How long the whole execution may take, from submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How long a lease lives without a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ttl_ms: Option<u64>,
    /// When a failed attempt is followed by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How many crashed attempts are followed by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_crashes: Option<u32>,
    /// Whose turn it is when a lane is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_key: Option<String>,
    /// To find it by.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The same key answers with the first execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// How long it is kept after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// W3C trace context, handed to the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What it may spend from; at most one budget of a tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetUse>,
    /// Not available yet: anything here is refused as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub limits: Option<Box<RawValue>>,
}

/// The execution that was made, or that the key already named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmitReply {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: ExecutionState,
    /// Why it is blocked, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it was there before (status 200 instead of 201).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existed: bool,
}

objects_only!(SubmitRequest);

impl SubmitRequest {
    /// A submission with nothing but its kind and input.
    pub fn new(kind: impl Into<String>, input: Payload) -> Self {
        Self { kind: kind.into(), input, ..Self::default() }
    }

    /// Checks names, ranges and sizes.
    pub fn validate(&self, limits: &Limits) -> Result<(), Problem> {
        check::name("kind", &self.kind)?;
        self.input.validate("input", limits)?;
        self.validate_names()?;
        self.validate_times()?;
        if let Some(priority) = self.priority {
            check::range("priority", priority, PRIORITY_MIN, PRIORITY_MAX)?;
        }
        if let Some(retry) = &self.retry {
            retry.validate().map_err(|problem| problem.within("retry"))?;
        }
        if let Some(crashes) = self.max_crashes {
            check::range("max_crashes", crashes, 0, MAX_CRASHES)?;
        }
        if self.limits.is_some() {
            let detail = "`limits` is not available in this version";
            return Err(Problem::new(Code::NotAvailable, detail).at("limits"));
        }
        check_uses(&self.budgets)
    }

    fn validate_names(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())?;
        check::optional_name("lane", self.lane.as_ref())?;
        check::predicates("requires", &self.requires)?;
        check::predicates("prefer", &self.prefer)?;
        if let Some(key) = &self.fairness_key {
            check::text("fairness_key", key, FAIRNESS_KEY_BYTES)?;
        }
        check::tags("tags", &self.tags)?;
        if let Some(key) = &self.idempotency_key
            && !(1..=IDEMPOTENCY_KEY_CHARS).contains(&key.chars().count())
        {
            return Err(Problem::invalid("idempotency_key", "expected 1 to 256 characters"));
        }
        match &self.traceparent {
            Some(text) if !is_traceparent(text.as_bytes()) => Err(Problem::invalid(
                "traceparent",
                "expected a W3C traceparent: 2, 32, 16 and 2 lower-case hex digits, joined by -",
            )),
            _ => Ok(()),
        }
    }

    fn validate_times(&self) -> Result<(), Problem> {
        if self.run_at.is_some() && self.delay_ms.is_some() {
            return Err(Problem::invalid("delay_ms", "`run_at` and `delay_ms` exclude each other")
                .remedy("Keep one of them."));
        }
        check::duration("delay_ms", self.delay_ms, 0)?;
        check::duration("queue_ttl_ms", self.queue_ttl_ms, 1)?;
        check::duration("attempt_timeout_ms", self.attempt_timeout_ms, 1)?;
        check::duration("deadline_ms", self.deadline_ms, 1)?;
        check::duration("retention_ms", self.retention_ms, 0)?;
        match self.lease_ttl_ms {
            Some(ms) => check::range("lease_ttl_ms", ms, LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX),
            None => Ok(()),
        }
    }
}

fn is_traceparent(text: &[u8]) -> bool {
    text.len() == 55
        && text.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
