//! Claims and leases: what the API asks for, and what it carries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stint_api::{HeldBudget, Instant, Lease, LeasedExecution, StepEntry, Stop, StopAction};
use stint_core::command::{ClaimFilter, Stopping};
use stint_core::model::{Capabilities, StopReason};
use stint_core::{LeaseRef, Millis};

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

/// Leases that fit into one reply, at least one, and those that don't or count no more: one was taken while it waited here for
/// company, and its execution leased anew by the same claim.
pub(crate) fn fitting(leases: Vec<GrantedLease>) -> (Vec<GrantedLease>, Vec<GrantedLease>) {
    let mut epochs = BTreeMap::new();
    for LeaseRef { execution, epoch, .. } in leases.iter().map(|granted| granted.grant.lease) {
        let latest = epochs.entry(execution).or_insert(epoch);
        *latest = epoch.max(*latest);
    }
    let is_latest = |granted: &GrantedLease| {
        epochs.get(&granted.grant.lease.execution) == Some(&granted.grant.lease.epoch)
    };
    let (mut leases, mut over): (Vec<_>, Vec<_>) = leases.into_iter().partition(is_latest);
    let mut bytes = 0;
    let fits = leases.iter().position(|lease| {
        let size = lease.input.len() + if lease.steps.is_empty() { 0 } else { JOURNAL_BYTES };
        bytes += size;
        bytes > REPLY_BYTES && bytes > size
    });
    over.extend(fits.map(|at| leases.split_off(at)).unwrap_or_default());
    (leases, over)
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

#[cfg(test)]
mod tests {
    use stint_core::command::Grant;
    use stint_core::model::{Group, Spec};
    use stint_core::{ExecutionId, LeaseToken, PartitionId};

    use super::*;

    fn granted(number: u128, epoch: u32) -> GrantedLease {
        let execution = ExecutionId::fresh(0, PartitionId(1), number);
        let name = || Arc::from("a");
        let group = Group { namespace: name(), lane: name(), kind: name(), requires: Vec::new() };
        let grant = Grant {
            lease: LeaseRef { execution, epoch, token: LeaseToken([0; 16]) },
            attempt: epoch,
            ttl_ms: 1,
            renewed_at: 0,
            group: group.into(),
            priority: 0,
            submitted_at: 0,
            deadline: None,
            attempt_timeout_ms: None,
            journal: false,
            held: Vec::new(),
        };
        GrantedLease { grant, spec: Spec::default(), input: Default::default(), steps: Vec::new() }
    }

    #[test]
    fn of_an_execution_that_was_leased_twice_meanwhile_only_the_last_lease_is_given() {
        let (fits, over) = fitting(vec![granted(1, 2), granted(2, 5), granted(1, 3)]);
        let epochs = |leases: &[GrantedLease]| leases.iter().map(|l| l.grant.lease.epoch).collect::<Vec<_>>();
        assert_eq!((epochs(&fits), epochs(&over)), (vec![5, 3], vec![2]));
    }
}
