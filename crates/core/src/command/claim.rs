//! Claiming: leasing ready work to a worker, best first among what it can serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::Context;
use super::{Outcome, Refusal, permit};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{ExecutionId, LeaseRef, LeaseToken};
use crate::model::{Amounts, Capabilities, Execution, Group, Lease, Move, State, Worker};
use crate::partition::LATE_MAX;

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
    /// When it was given, or last renewed.
    pub renewed_at: Millis,
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
    /// What was held for it of each budget that it names, when that was granted.
    pub held: Vec<(String, Amounts)>,
}

impl Claim {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let held: Vec<ExecutionId> = context.partition.with_token(self.token).take(self.max).collect();
        let mut grants: Vec<Grant> =
            held.into_iter().filter_map(|id| context.partition.execution(id)).filter_map(grant).collect();
        let mut heads = Vec::new();
        for id in self.best(context, self.max - grants.len()) {
            let Some(execution) = context.partition.execution(id).cloned() else { continue };
            if permit::fail_used_up(context, &execution)? {
                continue;
            }
            if execution.is_admitted() {
                grants.extend(self.lease(context, execution)?);
            } else {
                heads.push(execution);
            }
        }
        // Others need their permits first, and so do those behind them: a slot each is kept until the answers are here.
        let mut asked = Vec::new();
        for (index, head) in heads.iter().enumerate() {
            // One each for the heads that follow.
            let kept = grants.len() + asked.len() + heads.len() - index;
            let ready = context.partition.ready_work(&head.group);
            let behind = ready.into_iter().flat_map(|ready| ready.behind(head));
            let behind: Vec<ExecutionId> = behind.take(self.max.saturating_sub(kept)).collect();
            for id in std::iter::once(head.id).chain(behind) {
                let Some(execution) = context.partition.execution(id).cloned() else { continue };
                if context.partition.is_in_time(id, context.now())
                    && !permit::fail_used_up(context, &execution)?
                {
                    permit::ask(context, id);
                    asked.push(id);
                }
            }
        }
        Ok(Outcome::Leased(grants, asked))
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
        let mut late = vec![0; queues.len()];
        let mut best = Vec::with_capacity(max.min(64));
        while best.len() < max
            && let Some((order, id, index)) = heads.pop_first()
            && order <= self.until
        {
            // What is out of time is not started, although its timer runs only later.
            if !partition.is_in_time(id, context.now()) {
                let Some(late) = late.get_mut(index) else { continue };
                *late += 1;
                if *late > LATE_MAX {
                    continue;
                }
            } else if best.last() != Some(&id) {
                // A lane named twice offers its work twice, side by side.
                best.push(id);
            }
            let next = queues.get_mut(index).and_then(Iterator::next);
            heads.extend(next.map(|(order, id)| (order, id, index)));
        }
        best
    }

    fn lease(&self, context: &mut Context<'_>, mut execution: Execution) -> Result<Option<Grant>, Refusal> {
        let now = context.now();
        let resumed = execution.state() == State::Suspended;
        context.step(&mut execution, Move::Lease)?;
        execution.epoch += 1;
        if !resumed {
            execution.attempt += 1;
        }
        if let Some(spending) = execution.spending.as_deref_mut() {
            spending.until = None;
            spending.missing = None;
            spending.promised = None;
            spending.resumed = resumed.then_some(true);
            let goes_on = spending.given_back.take() == Some(true);
            if !resumed && !goes_on {
                spending.attempt_spent = Amounts::default();
                spending.attempt_ran_ms = 0;
            }
        }
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
        renewed_at: lease.renewed_at,
        group: execution.group.clone(),
        priority: execution.priority,
        submitted_at: execution.submitted_at,
        deadline: execution.deadline(),
        attempt_timeout_ms: execution.policy.attempt_timeout_ms,
        journal: execution.epoch > 1,
        held: held(execution),
    })
}

fn held(execution: &Execution) -> Vec<(String, Amounts)> {
    let permits = execution.spending.iter().flat_map(|spending| &spending.permits);
    let uses = execution.policy.budgets.iter().zip(permits);
    uses.filter_map(|(used, permit)| Some((used.path.clone(), permit.as_ref()?.held.clone()?))).collect()
}

/// Give back, without an attempt, the leases of a worker's session that it does not list: it never heard of them, or has
/// dropped them since.
#[derive(Clone, Debug)]
pub struct UnlistedLeases {
    /// The session, not 0.
    pub session: u64,
    /// What it holds.
    pub listed: Vec<LeaseRef>,
    /// Only leases given before this instant: those given since are on their way.
    pub before: Millis,
}

impl UnlistedLeases {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let held: Vec<ExecutionId> = context.partition.of_session(self.session).collect();
        for id in held {
            let Some(execution) = context.partition.execution(id).cloned() else { continue };
            let is_old = execution.lease.as_deref().is_some_and(|lease| lease.granted_at < self.before);
            let is_it = |lease: &LeaseRef| lease.execution == id && execution.leased_as(lease).is_some();
            if is_old && !self.listed.iter().any(is_it) {
                super::release::give_back(context, execution, None)?;
            }
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, names, requires};
    use crate::command::{Command, LaneChange};
    use crate::model::{AGE_STEP_MS, LaneMode, State};

    #[test]
    fn the_best_come_first_over_all_groups() {
        let mut bed = Bed::new();
        let low = bed.submit(|s| s.priority = -1);
        let first = bed.submit(|_| ());
        bed.pass(1);
        let second = bed.submit(|s| s.kind = "other".into());
        let high = bed.submit(|s| s.priority = 1);
        assert_eq!(bed.order(), [high, first, second, low]);
    }

    #[test]
    fn waiting_is_worth_priority() {
        let mut bed = Bed::new();
        let old = bed.submit(|_| ());
        bed.pass(AGE_STEP_MS - 1);
        let young = bed.submit(|s| s.priority = 1);
        bed.pass(2);
        let younger = bed.submit(|s| s.priority = 1);
        assert_eq!(bed.order(), [young, old, younger]);
    }

    #[test]
    fn a_lane_says_what_a_step_of_priority_is_worth() {
        let mut bed = Bed::new();
        bed.own_lane("default", |s| s.age_step_ms = Some(10));
        let old = bed.submit(|_| ());
        bed.pass(11);
        let young = bed.submit(|s| s.priority = 1);
        assert_eq!(bed.order(), [old, young]);
        bed.own_lane("default", |s| s.age_step_ms = Some(i64::MAX));
        let low = bed.submit(|s| s.priority = -100);
        let high = bed.submit(|s| s.priority = 100);
        assert_eq!(bed.order(), [high, low]);
    }

    /// How many of the first `of` claimed have the fairness key `a`, when both keys submit the same at once.
    fn share_of_a(weight_a: u32, weight_b: u32, of: usize) -> usize {
        let mut bed = Bed::new();
        bed.own_lane("default", |s| {
            s.weights = [("a".to_owned(), weight_a), ("b".to_owned(), weight_b)].into()
        });
        let mut ids = Vec::new();
        for _ in 0..of {
            ids.push(bed.submit(|s| s.fairness_key = Some("a".into())));
            bed.submit(|s| s.fairness_key = Some("b".into()));
        }
        bed.claim(of).iter().filter(|grant| ids.contains(&grant.lease.execution)).count()
    }

    #[test]
    fn fairness_keys_share_by_weight() {
        assert_eq!(share_of_a(1, 1, 100), 50);
        assert!((74..=76).contains(&share_of_a(3, 1, 100)));
        assert!((74..=76).contains(&share_of_a(3_000, 1_000, 100)));
        assert!((65..=68).contains(&share_of_a(2_000, 1_000, 100)));
        assert_eq!(share_of_a(0, 1, 10), 5);
    }

    #[test]
    fn a_key_with_a_backlog_does_not_hold_up_another() {
        let mut bed = Bed::new();
        let many: Vec<_> = (0..10).map(|_| bed.submit(|s| s.fairness_key = Some("many".into()))).collect();
        bed.pass(1_500);
        let one = bed.submit(|s| s.fairness_key = Some("one".into()));
        assert_eq!(bed.order()[..3], [many[0], many[1], one]);
    }

    #[test]
    fn only_what_the_worker_can_serve_is_leased() {
        let mut bed = Bed::new();
        let plain = bed.submit(|_| ());
        let gpu = bed.submit(|s| s.requires = requires(&["gpu", "mem_gb >= 16"]));
        let other_kind = bed.submit(|s| s.kind = "other".into());
        bed.submit(|s| s.lane = "other".into());
        bed.submit(|s| s.namespace = "other".into());
        let leased = |grants: Vec<Grant>| grants.iter().map(|g| g.lease.execution).collect::<Vec<_>>();
        let kind = |c: &mut Claim| (c.filter.kinds, c.max) = (names(&["other"]), 9);
        assert_eq!(leased(bed.claim_as(kind)), [other_kind]);
        assert_eq!(leased(bed.claim(9)), [plain]);
        let weak = Capabilities::parse(["gpu", "mem_gb=8"]);
        assert_eq!(leased(bed.claim_as(|c| c.filter.capabilities = weak)), []);
        let able = Capabilities::parse(["gpu", "mem_gb=64"]);
        assert_eq!(leased(bed.claim_as(|c| c.filter.capabilities = able)), [gpu]);
        assert_eq!(bed.partition.len(), 5);
    }

    #[test]
    fn lanes_are_one_queue_also_when_named_twice() {
        let mut bed = Bed::new();
        let a = bed.submit(|s| s.lane = "a".into());
        bed.pass(1);
        let b = bed.submit(|s| s.lane = "b".into());
        bed.pass(1);
        let c = bed.submit(|s| s.lane = "a".into());
        let grants = bed.claim_as(|claim| {
            claim.filter.lanes = names(&["b", "a", "a", "b", "none"]);
            claim.max = 10;
        });
        assert_eq!(grants.iter().map(|g| g.lease.execution).collect::<Vec<_>>(), [a, b, c]);
    }

    #[test]
    fn a_paused_lane_starts_nothing() {
        let mut bed = Bed::at(crate::command::SetLane::home("default", "default"));
        let id = bed.submit(|_| ());
        bed.set_lane("default", LaneChange::Mode(LaneMode::Paused));
        assert!(bed.claim(1).is_empty());
        assert_eq!(bed.partition.ready().count(), 0);
        bed.set_lane("default", LaneChange::Mode(LaneMode::Open));
        assert_eq!(bed.order(), [id]);
    }

    #[test]
    fn a_repeated_claim_is_answered_with_its_leases() {
        let mut bed = Bed::new();
        for _ in 0..5 {
            bed.submit(|_| ());
        }
        let token = LeaseToken([1; 16]);
        let first = bed.claim_as(|c| (c.token, c.max) = (token, 2));
        let mut again = bed.claim_as(|c| (c.token, c.max) = (token, 2));
        again.sort_by_key(|g| g.lease);
        let mut sorted = first;
        sorted.sort_by_key(|g| g.lease);
        assert_eq!(again, sorted);
        assert_eq!(bed.claim_as(|c| (c.token, c.max) = (token, 3)).len(), 3);
        assert_eq!(bed.claim_as(|c| (c.token, c.max) = (token, 1)).len(), 1);
        assert_eq!(bed.partition.ready().map(|r| r.count).sum::<usize>(), 2);
    }

    #[test]
    fn a_grant_says_what_the_worker_must_know() {
        let mut bed = Bed::new();
        let deadline = |s: &mut crate::command::Submission| s.policy.deadline_ms = Some(60_000);
        let id = bed.submit(deadline);
        let grant = bed.claim(1).remove(0);
        assert_eq!((grant.lease.execution, grant.lease.epoch, grant.attempt), (id, 1, 1));
        assert_eq!((grant.ttl_ms, grant.deadline, grant.journal), (30_000, Some(bed.now + 60_000), false));
        bed.release(grant.lease).unwrap();
        let grant = bed.claim(1).remove(0);
        assert_eq!((grant.lease.epoch, grant.attempt, grant.journal), (2, 1, true));
    }

    #[test]
    fn only_work_of_the_order_asked_for_is_leased() {
        let mut bed = Bed::new();
        bed.submit(|s| s.priority = -1);
        let now = bed.now;
        assert!(bed.claim_as(|c| c.until = now).is_empty());
        bed.submit(|_| ());
        assert_eq!(bed.claim_as(|c| (c.until, c.max) = (now, 5)).len(), 1);
    }

    #[test]
    fn what_is_out_of_time_is_not_started_however_late_its_timer_runs() {
        let mut bed = Bed::new();
        bed.submit(|s| s.policy.queue_ttl_ms = Some(10));
        bed.submit(|s| s.policy.deadline_ms = Some(10));
        let last = bed.submit(|_| ());
        bed.now += 10;
        assert_eq!(bed.order(), [last]);
    }

    #[test]
    fn a_claim_does_not_walk_over_a_whole_backlog_that_is_out_of_time() {
        let mut bed = Bed::new();
        for _ in 0..=LATE_MAX {
            bed.submit(|s| s.policy.queue_ttl_ms = Some(10));
        }
        let last = bed.submit(|_| ());
        let group = bed.partition.execution(last).unwrap().group.clone();
        bed.now += 10;
        assert_eq!(bed.partition.startable_in(&group, bed.now), None);
        assert!(bed.claim(1).is_empty());
        // Some timers have run: what they were about comes to be offered again.
        let due = bed.partition.due(bed.now, 1)[0];
        bed.run(Command::Fire(crate::command::Fire { id: due })).unwrap();
        let offer = bed.partition.startable_in(&group, bed.now).unwrap();
        assert_eq!((offer.best, offer.count), (crate::bed::START, 1));
        assert_eq!(bed.order(), [last]);
    }

    #[test]
    fn unlisted_leases_of_a_session_are_given_back() {
        let mut bed = Bed::new();
        for _ in 0..4 {
            bed.submit(|_| ());
        }
        let grants = bed.claim_as(|c| (c.worker.session, c.max) = (5, 3));
        let other = bed.claim_as(|c| c.worker.session = 6).remove(0).lease;
        let mut listed: Vec<LeaseRef> = grants.iter().map(|g| g.lease).take(2).collect();
        listed[1].epoch += 1;
        bed.run(Command::UnlistedLeases(UnlistedLeases { session: 5, listed, before: Millis::MAX })).unwrap();
        let states: Vec<_> = grants.iter().map(|g| bed.state(g.lease.execution)).collect();
        assert_eq!(states, [State::Running, State::Ready, State::Ready]);
        assert_eq!(bed.state(other.execution), State::Running);
        assert_eq!(bed.show(grants[2].lease.execution).execution.attempt, 0);
    }

    #[test]
    fn leases_given_since_the_worker_listed_its_own_are_not_given_back() {
        let mut bed = Bed::new();
        let old = bed.submit(|_| ());
        let young = bed.submit(|_| ());
        bed.claim_as(|c| c.worker.session = 5);
        bed.pass(1);
        let before = bed.now;
        bed.claim_as(|c| c.worker.session = 5);
        bed.run(Command::UnlistedLeases(UnlistedLeases { session: 5, listed: vec![], before })).unwrap();
        assert_eq!((bed.state(old), bed.state(young)), (State::Ready, State::Running));
    }
}
