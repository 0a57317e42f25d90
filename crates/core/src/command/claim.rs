//! Claiming: leasing ready work to a worker, best first among what it can serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::Context;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{ExecutionId, LeaseRef, LeaseToken};
use crate::model::{Capabilities, Execution, Group, Lease, Move, Worker};

/// Which groups a worker can serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimFilter {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Lanes it serves.
    pub lanes: Vec<Arc<str>>,
    /// Kinds it has handlers for; empty means any.
    pub kinds: Vec<Arc<str>>,
    /// What it offers.
    pub capabilities: Capabilities,
}

impl ClaimFilter {
    /// Whether its worker can run the group's work.
    pub fn matches(&self, group: &Group) -> bool {
        self.namespace == group.namespace && self.lanes.contains(&group.lane) && self.serves(group)
    }

    fn serves(&self, group: &Group) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&group.kind)) && self.capabilities.can_serve(group)
    }
}

/// Lease up to `max` of the best ready executions.
#[derive(Clone, Debug)]
pub struct Claim {
    /// 128 random bits, the proof of every lease of this claim, and what makes it the same claim when it is sent again:
    /// then it is answered with the leases it was given. Each that asks for more in one partition needs its own.
    pub token: LeaseToken,
    /// Who claims.
    pub worker: Worker,
    /// What it can serve.
    pub filter: ClaimFilter,
    /// Leases at most.
    pub max: usize,
    /// Only work of this order or better.
    pub until: Millis,
}

/// A lease given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The lease.
    pub lease: LeaseRef,
    /// Which attempt it is for.
    pub attempt: u32,
    /// How long it lasts without renewal.
    pub ttl_ms: Millis,
    /// Kind, lane, namespace.
    pub group: Arc<Group>,
    /// Its priority.
    pub priority: i8,
    /// When it was submitted.
    pub submitted_at: Millis,
    /// When its life ends.
    pub deadline: Option<Millis>,
    /// How long this attempt may take.
    pub attempt_timeout_ms: Option<Millis>,
    /// Whether there may be journaled steps.
    pub journal: bool,
}

impl Claim {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let held: Vec<ExecutionId> = context.partition.with_token(self.token).take(self.max).collect();
        let mut grants: Vec<Grant> =
            held.into_iter().filter_map(|id| context.partition.execution(id)).filter_map(grant).collect();
        for id in self.best(context, self.max - grants.len()) {
            if let Some(execution) = context.partition.execution(id).cloned() {
                grants.extend(self.lease(context, execution)?);
            }
        }
        Ok(Outcome::Leased(grants))
    }

    /// The best ready executions over all groups of its lanes that the worker can serve.
    fn best(&self, context: &Context<'_>, max: usize) -> Vec<ExecutionId> {
        let partition = &context.partition;
        let mut queues: Vec<_> = self
            .filter
            .lanes
            .iter()
            .flat_map(|lane| partition.startable(&self.filter.namespace, lane))
            .filter(|(group, _)| self.filter.serves(group))
            .map(|(_, ready)| ready.iter())
            .collect();
        // One candidate of each queue at a time, so that the cost follows the groups and not the backlog.
        let mut heads: BTreeSet<(Millis, ExecutionId, usize)> = BTreeSet::new();
        for (index, queue) in queues.iter_mut().enumerate() {
            heads.extend(queue.next().map(|(order, id)| (order, id, index)));
        }
        let mut best = Vec::with_capacity(max.min(64));
        while best.len() < max
            && let Some((order, id, index)) = heads.pop_first()
            && order <= self.until
        {
            // A lane named twice offers its work twice, side by side.
            if best.last() != Some(&id) {
                best.push(id);
            }
            let next = queues.get_mut(index).and_then(Iterator::next);
            heads.extend(next.map(|(order, id)| (order, id, index)));
        }
        best
    }

    fn lease(&self, context: &mut Context<'_>, mut execution: Execution) -> Result<Option<Grant>, Refusal> {
        let now = context.now();
        context.step(&mut execution, Move::Lease)?;
        execution.epoch += 1;
        execution.attempt += 1;
        execution.lease = Some(Box::new(Lease {
            token: self.token,
            worker: self.worker.clone(),
            granted_at: now,
            renewed_at: now,
            progress: None,
        }));
        let granted = grant(&execution);
        context.put(execution, EventKind::Leased);
        Ok(granted)
    }
}

fn grant(execution: &Execution) -> Option<Grant> {
    let lease = execution.lease.as_deref()?;
    Some(Grant {
        lease: LeaseRef { execution: execution.id, epoch: execution.epoch, token: lease.token },
        attempt: execution.attempt,
        ttl_ms: execution.policy.lease_ttl_ms,
        group: execution.group.clone(),
        priority: execution.priority,
        submitted_at: execution.submitted_at,
        deadline: execution.deadline(),
        attempt_timeout_ms: execution.policy.attempt_timeout_ms,
        journal: execution.epoch > 1,
    })
}

/// Give back, without an attempt, the leases of a worker's session that it does not list: it never heard of them.
#[derive(Clone, Debug)]
pub struct UnlistedLeases {
    /// The session, not 0.
    pub session: u64,
    /// What it holds.
    pub listed: Vec<LeaseRef>,
}

impl UnlistedLeases {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let held: Vec<ExecutionId> = context.partition.of_session(self.session).collect();
        for id in held {
            let Some(execution) = context.partition.execution(id).cloned() else { continue };
            if !self.listed.iter().any(|lease| lease.execution == id && execution.leased_as(lease).is_some())
            {
                super::release::give_back(context, execution, None)?;
            }
        }
        Ok(Outcome::Done)
    }
}
