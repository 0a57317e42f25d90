//! Claims and leases: what the API asks for, and what it carries.

use std::sync::Arc;
use std::time::Duration;

use stint_api::{HeldBudget, Instant, Lease, LeasedExecution, StepEntry, Stop, StopAction};
use stint_core::Millis;
use stint_core::command::{ClaimFilter, Stopping};
use stint_core::model::{Capabilities, StopReason};

use super::budget::amounts;
use super::payload;
use crate::hub::GrantedLease;

/// Bytes of inputs and journals in one reply; leases beyond it are given back.
pub(crate) const REPLY_BYTES: usize = 8 << 20;

/// Results of journaled steps that a lease carries, in bytes.
pub(crate) const JOURNAL_BYTES: usize = 256 << 10;

/// What a worker can serve.
pub(crate) fn filter(
    namespace: &str,
    lanes: &[String],
    kinds: &[String],
    capabilities: &[String],
) -> ClaimFilter {
    let names = |names: &[String]| {
        let mut names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
        // A worker says the same in any order.
        names.sort();
        names.dedup();
        names
    };
    ClaimFilter {
        namespace: namespace.into(),
        lanes: names(lanes),
        kinds: names(kinds),
        capabilities: Capabilities::parse(capabilities.iter().map(String::as_str)),
    }
}

/// A lease with all that its worker needs.
pub(crate) fn lease(granted: GrantedLease) -> Lease {
    let GrantedLease { grant, spec, input, steps } = granted;
    let mut steps = steps;
    steps.sort_by_key(|(_, record)| (record.begun_at, record.sequence));
    let mut room = JOURNAL_BYTES;
    let steps = steps
        .into_iter()
        .map(|(key, record)| {
            let unknown = record.result.is_none();
            let size =
                record.result.as_ref().and_then(|result| result.inline.as_ref()).map_or(0, |b| b.len());
            let fits = size <= room;
            room -= if fits { size } else { 0 };
            let result = record.result.filter(|_| fits).map(|result| payload::stored(&result, None));
            StepEntry { key, result, unknown }
        })
        .collect();
    Lease {
        lease: grant.lease.to_string(),
        ttl_ms: ms(grant.ttl_ms),
        execution: LeasedExecution {
            id: grant.lease.execution.to_string(),
            kind: grant.group.kind.to_string(),
            lane: grant.group.lane.to_string(),
            namespace: grant.group.namespace.to_string(),
            input: payload::shown(input, spec.input.content_type.as_deref()),
            priority: i32::from(grant.priority),
            tags: spec.tags.unwrap_or_default().into_iter().collect(),
            submitted_at: Instant::from_millis(grant.submitted_at),
            deadline: grant.deadline.map(Instant::from_millis),
            attempt_timeout_ms: grant.attempt_timeout_ms.map(ms),
            traceparent: spec.traceparent,
        },
        attempt: grant.attempt,
        steps,
        held: grant
            .held
            .iter()
            .map(|(path, held)| HeldBudget { path: path.clone(), amounts: amounts(held) })
            .collect(),
    }
}

/// Leases that fit into one reply, at least one, and those that don't.
pub(crate) fn fitting(mut leases: Vec<GrantedLease>) -> (Vec<GrantedLease>, Vec<GrantedLease>) {
    let mut bytes = 0;
    let fits = leases.iter().position(|lease| {
        let size = lease.input.len() + if lease.steps.is_empty() { 0 } else { JOURNAL_BYTES };
        bytes += size;
        bytes > REPLY_BYTES && bytes > size
    });
    let beyond = fits.map(|at| leases.split_off(at)).unwrap_or_default();
    (leases, beyond)
}

/// A request to stop, in words.
pub(crate) fn stop(stopping: &Stopping) -> Stop {
    let reason = match (&stopping.message, stopping.reason) {
        (Some(message), _) => message.clone(),
        (None, StopReason::Cancel) => "cancelled".to_owned(),
        (None, _) => "the budget is exhausted".to_owned(),
    };
    let action = match stopping.reason {
        StopReason::Cancel | StopReason::BudgetCancel => StopAction::Cancel,
        StopReason::Suspend => StopAction::Suspend,
        StopReason::BudgetFail => StopAction::Fail,
    };
    // 0 says that the lease is gone already.
    Stop { reason, grace_ms: ms(stopping.grace_ms).max(1), action }
}

/// Core's ms, which are not negative where the API shows them.
pub(crate) fn ms(ms: Millis) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// Core's ms as a duration.
pub(crate) fn duration(of: Millis) -> Duration {
    Duration::from_millis(ms(of))
}
