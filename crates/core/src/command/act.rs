//! Acting on one open execution: pause, resume, revoke, change priority.

use super::context::Context;
use super::ending::{Ended, close_attempt};
use super::{Outcome, Refusal, permit};
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{AttemptOutcome, Execution, Move, State, StopReason};
use crate::partition::Partition;

/// What to do to an execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Start no attempt of it; one under way goes on.
    Pause,
    /// The opposite.
    Resume,
    /// Take its lease; another attempt follows, and it counts neither as a failure nor as a crash.
    Revoke,
    /// -100 to 100.
    Priority(i8),
}

/// Do something to one execution.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// What to do.
    pub action: Action,
}

impl Act {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let Some(execution) = context.open(&self.namespace, self.id) else {
            return Err(Refusal::Finished(context.archived(Some(&self.namespace), self.id)?.state()));
        };
        let state = match self.action {
            Action::Pause => hold(context, execution, true),
            Action::Resume => hold(context, execution, false),
            Action::Priority(priority) => reprioritise(context, execution, priority),
            Action::Revoke => revoke(context, execution)?,
        };
        Ok(Outcome::Acted(self.id, state))
    }
}

fn hold(context: &mut Context<'_>, mut execution: Execution, paused: bool) -> State {
    let state = execution.state();
    if execution.paused != paused {
        if paused && state != State::Running {
            permit::end_all(context, &mut execution, true);
        }
        execution.paused = paused;
        context.put(execution, if paused { EventKind::Paused } else { EventKind::Resumed });
    }
    state
}

fn reprioritise(context: &mut Context<'_>, mut execution: Execution, priority: i8) -> State {
    let state = execution.state();
    if execution.priority != priority {
        let settings = context.partition.lane(&execution.group.namespace, &execution.group.lane);
        // Its waiting so far stands; only the priority's share of the order moves.
        execution.priority = priority;
        execution.place(settings.age_step());
        permit::reorder(context, &execution);
        context.put(execution, EventKind::PriorityChanged);
    }
    state
}

fn revoke(context: &mut Context<'_>, mut execution: Execution) -> Result<State, Refusal> {
    if execution.state() != State::Running {
        return Err(Refusal::NotRunning(execution.state()));
    }
    let ended = Ended::own(AttemptOutcome::Revoked, "lease_revoked", "an operator took the lease away");
    match execution.stop.as_deref().map(|stop| stop.reason) {
        None => {}
        Some(StopReason::Cancel) => {
            super::ending::end(context, execution, Move::Cancel, ended, None)?;
            return Ok(State::Cancelled);
        }
        Some(_) => {
            let outcome = permit::stopped(context, execution, false, None)?;
            return Ok(if let Outcome::Ended(state) = outcome { state } else { State::Running });
        }
    }
    let now = context.now();
    close_attempt(context, &mut execution, ended, now);
    context.step(&mut execution, Move::Again)?;
    let state = execution.state();
    context.put(execution, EventKind::Revoked);
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::model::AGE_STEP_MS;

    #[test]
    fn paused_work_is_not_started_and_keeps_its_place() {
        let mut bed = Bed::new();
        let first = bed.submit(|_| ());
        bed.pass(1);
        let second = bed.submit(|_| ());
        assert_eq!(bed.act(first, Action::Pause), Ok(State::Ready));
        assert_eq!(bed.act(first, Action::Pause), Ok(State::Ready));
        assert_eq!(bed.show(first).blocked_by, Some("paused"));
        assert_eq!(bed.order(), [second]);
        assert_eq!(bed.act(first, Action::Resume), Ok(State::Ready));
        assert_eq!(bed.order(), [first]);
        use EventKind::*;
        assert_eq!(bed.kinds(first), [Submitted, Paused, Resumed, Leased]);
    }

    #[test]
    fn paused_work_that_runs_or_is_scheduled_stays_so_and_then_waits() {
        let mut bed = Bed::new();
        let running = bed.submit(|_| ());
        let lease = bed.lease();
        assert_eq!(bed.act(running, Action::Pause), Ok(State::Running));
        bed.heartbeat(lease).unwrap();
        bed.pass(30_000);
        assert_eq!(bed.state(running), State::Ready);
        let scheduled = bed.submit(|s| s.delay_ms = Some(10));
        bed.act(scheduled, Action::Pause).unwrap();
        bed.pass(10);
        assert_eq!(bed.state(scheduled), State::Ready);
        assert!(bed.order().is_empty());
    }

    #[test]
    fn a_revoked_lease_costs_neither_failure_nor_crash() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        assert_eq!(bed.act(id, Action::Revoke), Err(Refusal::NotRunning(State::Ready)));
        let lease = bed.lease();
        assert_eq!(bed.act(id, Action::Revoke), Ok(State::Ready));
        assert_eq!(bed.complete(lease, "1"), Err(Refusal::LeaseLost));
        let shown = bed.show(id);
        assert_eq!((shown.execution.failures, shown.execution.crashes), (0, 0));
        assert_eq!(shown.attempts[0].outcome, AttemptOutcome::Revoked);
        assert_eq!(bed.claim(1)[0].attempt, 2);
    }

    #[test]
    fn revoking_what_was_asked_to_stop_ends_it() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        bed.lease();
        bed.cancel(id, 60_000).unwrap();
        assert_eq!(bed.act(id, Action::Revoke), Ok(State::Cancelled));
        assert_eq!(bed.state(id), State::Cancelled);
    }

    #[test]
    fn priority_moves_it_and_its_waiting_counts() {
        let mut bed = Bed::new();
        let old = bed.submit(|s| s.priority = -1);
        bed.pass(10);
        let young = bed.submit(|_| ());
        let scheduled = bed.submit(|s| s.delay_ms = Some(10));
        bed.act(old, Action::Priority(0)).unwrap();
        bed.act(scheduled, Action::Priority(2)).unwrap();
        bed.pass(10);
        assert_eq!(bed.order(), [scheduled, old, young]);
        assert_eq!(bed.show(old).execution.order, crate::bed::START);
        assert_eq!(bed.show(scheduled).execution.order, bed.now - 2 * AGE_STEP_MS);
    }

    #[test]
    fn a_new_priority_means_the_same_whatever_a_step_was_worth_before() {
        let mut bed = Bed::new();
        let plain = bed.submit(|_| ());
        let high = bed.submit(|s| s.priority = 5);
        bed.own_lane("default", |s| s.age_step_ms = Some(10));
        bed.act(high, Action::Priority(0)).unwrap();
        assert_eq!(bed.show(high).execution.order, bed.show(plain).execution.order);
        bed.own_lane("default", |s| s.age_step_ms = Some(20));
        for priority in [7, 0] {
            bed.act(plain, Action::Priority(priority)).unwrap();
        }
        assert_eq!(bed.show(plain).execution.order, crate::bed::START);
    }

    #[test]
    fn what_has_ended_says_so_and_nobody_is_not_found() {
        let mut bed = Bed::new();
        let ended = bed.submit(|_| ());
        bed.cancel(ended, 0).unwrap();
        let nobody = bed.fresh_id();
        let theirs = bed.submit(|s| s.namespace = "theirs".into());
        for action in [Action::Pause, Action::Resume, Action::Revoke, Action::Priority(1)] {
            assert_eq!(bed.act(ended, action), Err(Refusal::Finished(State::Cancelled)));
            assert_eq!(bed.act(nobody, action), Err(Refusal::NotFound(nobody)));
            assert_eq!(bed.act(theirs, action), Err(Refusal::NotFound(theirs)));
        }
    }
}
