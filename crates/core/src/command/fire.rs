//! The clock: what is due for one execution, decided again from its record at the moment it is run.

use super::context::Context;
use super::ending::{Ended, close_attempt, end, fail_attempt};
use super::{Outcome, Refusal, permit};
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::model::{AttemptOutcome, Execution, Move, OnHard, STOP_GRACE_MS, State, StopReason};

/// Do what is due for an execution; nothing, if nothing is.
#[derive(Clone, Debug)]
pub struct Fire {
    /// The execution.
    pub id: ExecutionId,
}

impl Fire {
    /// Of several things due, the one that ends most comes first: deadline, queue time-out, stop, attempt time-out,
    /// lease, delay.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let Some(execution) = context.partition.execution(self.id).cloned() else { return Ok(Outcome::Done) };
        let now = context.now();
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now);
        let able_since = context.partition.able_since();
        if due(execution.deadline()) {
            let ended = Ended::own(AttemptOutcome::Expired, "deadline_exceeded", "its deadline passed");
            end(context, execution, Move::Expire, ended, None)?;
        } else if due(execution.queue_ends()) {
            let ended = Ended::own(AttemptOutcome::Expired, "queue_timeout", "no worker started it in time");
            end(context, execution, Move::Expire, ended, None)?;
        } else if due(execution.stop.as_deref().map(|stop| stop.until)) && execution.state() == State::Running
        {
            if execution.stop.as_deref().is_some_and(|stop| stop.reason != StopReason::Cancel) {
                permit::stopped(context, execution, false, None)?;
                return Ok(Outcome::Done);
            }
            let ended = Ended::own(
                AttemptOutcome::Cancelled,
                "cancelled",
                "asked to stop, and stopped after its grace",
            );
            end(context, execution, Move::Cancel, ended, None)?;
        } else if due(execution.permits_end()) {
            give_permits_back(context, execution);
        } else if due(execution.wall_clock_ends()) && execution.stop.is_none() {
            let message = "cap on wall_clock_ms is exceeded";
            permit::stop_one(context, execution, OnHard::Fail, STOP_GRACE_MS, message);
        } else if due(execution.attempt_ends()) {
            let ended =
                Ended::own(AttemptOutcome::TimedOut, "attempt_timeout", "the attempt ran out of time");
            fail_attempt(context, execution, ended, None, None)?;
        } else if due(execution.lease_expires(able_since)) {
            crash(context, execution)?;
        } else if execution.state() == State::Scheduled && due(Some(execution.due_at)) {
            ready(context, execution)?;
        }
        Ok(Outcome::Done)
    }
}

/// A lease that expired: its worker is taken for dead, and another attempt follows unless too many died.
fn crash(context: &mut Context<'_>, mut execution: Execution) -> Result<(), Refusal> {
    execution.crashes += 1;
    let ended = Ended::own(AttemptOutcome::Crashed, "lease_expired", "the worker sent no heartbeat in time");
    match execution.stop.as_deref().map(|stop| stop.reason) {
        None => {}
        Some(StopReason::Cancel) => {
            end(context, execution, Move::Cancel, ended, None)?;
            return Ok(());
        }
        // It died while a budget asked it to stop: that is no crash to be followed by another attempt.
        Some(_) => {
            execution.crashes -= 1;
            permit::stopped(context, execution, false, None)?;
            return Ok(());
        }
    }
    if execution.crashes > execution.policy.max_crashes {
        let message = format!("{} attempts lost their worker", execution.crashes);
        let ended = Ended::own(AttemptOutcome::Crashed, "too_many_crashes", &message);
        end(context, execution, Move::Fail, ended, None)?;
        return Ok(());
    }
    let now = context.now();
    close_attempt(context, &mut execution, ended, now);
    // It keeps its old place: it has waited long enough.
    context.step(&mut execution, Move::Again)?;
    context.put(execution, EventKind::Crashed);
    Ok(())
}

/// No lease used its permits, or not all came: they go back, and it asks again when it is wanted again.
fn give_permits_back(context: &mut Context<'_>, mut execution: Execution) {
    if execution.spending.as_deref().is_some_and(|spending| spending.rests.is_some()) {
        return permit::ask_again(context, execution);
    }
    permit::end_all(context, &mut execution, true);
    context.put_silently(execution);
}

fn ready(context: &mut Context<'_>, mut execution: Execution) -> Result<(), Refusal> {
    context.step(&mut execution, Move::Due)?;
    execution.due_at = 0;
    if execution.attempt == 0 {
        context.enqueue(&mut execution);
    }
    // Else it keeps the place of its first attempt: only the pause between two was its own.
    context.put(execution, EventKind::Ready);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, policy};
    use crate::model::{End, Policy};

    fn end(bed: &mut Bed, id: ExecutionId) -> (State, &'static str, Option<AttemptOutcome>, i64) {
        let execution = bed.show(id).execution;
        let End { at, outcome, error, .. } = *execution.end.clone().unwrap();
        let error: &'static str = error.unwrap().error_type.leak();
        (execution.state(), error, outcome, at - crate::bed::START)
    }

    fn submit(bed: &mut Bed, change: impl FnOnce(&mut Policy)) -> ExecutionId {
        bed.submit(|s| s.policy = policy(change))
    }

    #[test]
    fn a_lease_that_expires_is_followed_by_another_attempt_up_to_the_most_crashes() {
        let mut bed = Bed::new();
        let id = submit(&mut bed, |p| p.max_crashes = 2);
        let later = bed.submit(|s| s.priority = -1);
        for attempt in 1..=2 {
            assert_eq!(bed.claim(1)[0].attempt, attempt);
            bed.pass(29_999);
            assert_eq!(bed.state(id), State::Running);
            bed.pass(1);
            assert_eq!(bed.state(id), State::Ready);
        }
        let lease = bed.lease();
        assert_eq!((lease.execution, lease.epoch), (id, 3));
        bed.pass(30_000);
        assert_eq!(
            end(&mut bed, id),
            (State::Failed, "too_many_crashes", Some(AttemptOutcome::Crashed), 90_000)
        );
        let shown = bed.show(id);
        assert_eq!(
            shown.attempts.iter().map(|a| a.outcome).collect::<Vec<_>>(),
            [AttemptOutcome::Crashed; 2]
        );
        assert_eq!(shown.execution.failures, 0);
        assert_eq!(bed.order(), [later]);
    }

    #[test]
    fn an_outage_of_ours_is_no_crash() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.now += 1_000_000;
        bed.partition.set_able_since(bed.now);
        bed.check();
        bed.pass(29_999);
        assert_eq!(bed.state(id), State::Running);
        assert!(bed.heartbeat(lease).is_ok());
        bed.pass(29_999);
        assert_eq!(bed.state(id), State::Running);
        bed.pass(1);
        assert_eq!(bed.show(id).execution.crashes, 1);
    }

    #[test]
    fn nobody_starts_it_in_time() {
        let mut bed = Bed::new();
        let id = submit(&mut bed, |p| p.queue_ttl_ms = Some(500));
        let started = submit(&mut bed, |p| p.queue_ttl_ms = Some(500));
        let scheduled = bed.submit(|s| {
            s.delay_ms = Some(600);
            s.policy.queue_ttl_ms = Some(500);
        });
        let lease = bed.claim(2).iter().find(|g| g.lease.execution == id).unwrap().lease;
        bed.release(lease).unwrap();
        bed.pass(499);
        assert_eq!(bed.state(id), State::Ready);
        bed.pass(1);
        assert_eq!(end(&mut bed, id), (State::Expired, "queue_timeout", None, 500));
        assert_eq!(end(&mut bed, scheduled), (State::Expired, "queue_timeout", None, 500));
        bed.pass(30_000);
        assert_eq!(
            bed.state(started),
            State::Ready,
            "once started it has no queue time-out, also after a crash"
        );
    }

    #[test]
    fn an_attempt_runs_out_of_time_however_alive_its_worker_is() {
        let mut bed = Bed::new();
        let id = submit(&mut bed, |p| {
            p.attempt_timeout_ms = Some(20_000);
            p.retry.max_attempts = 2;
        });
        let lease = bed.lease();
        bed.pass(19_999);
        bed.heartbeat(lease).unwrap();
        bed.pass(1);
        assert_eq!(bed.state(id), State::Scheduled);
        assert_eq!(bed.heartbeat(lease), Err(Refusal::LeaseLost));
        bed.pass(1_000);
        bed.lease();
        bed.pass(20_000);
        assert_eq!(
            end(&mut bed, id),
            (State::Failed, "attempt_timeout", Some(AttemptOutcome::TimedOut), 41_000)
        );
        assert_eq!(bed.show(id).attempts[0].outcome, AttemptOutcome::TimedOut);
    }

    #[test]
    fn a_deadline_ends_it_wherever_it_stands() {
        let mut bed = Bed::new();
        let running = submit(&mut bed, |p| p.deadline_ms = Some(10_000));
        bed.lease();
        let ready = submit(&mut bed, |p| p.deadline_ms = Some(10_000));
        let failed = submit(&mut bed, |p| p.deadline_ms = Some(10_000));
        let lease = bed.claim(2).iter().find(|g| g.lease.execution == failed).unwrap().lease;
        bed.fail_as(lease, "Broken", None, Some(60_000)).unwrap();
        bed.pass(9_999);
        assert_eq!(bed.state(running), State::Running);
        bed.pass(1);
        for (id, outcome) in
            [(running, Some(AttemptOutcome::Expired)), (ready, Some(AttemptOutcome::Expired)), (failed, None)]
        {
            assert_eq!(end(&mut bed, id), (State::Expired, "deadline_exceeded", outcome, 10_000));
        }
    }

    #[test]
    fn when_several_are_due_the_one_that_ends_most_wins() {
        let mut bed = Bed::new();
        let id = submit(&mut bed, |p| {
            (p.deadline_ms, p.attempt_timeout_ms, p.lease_ttl_ms) = (Some(1_000), Some(1_000), 1_000);
        });
        bed.lease();
        bed.now += 5_000;
        bed.run(crate::Command::Fire(Fire { id })).unwrap();
        assert_eq!(end(&mut bed, id).1, "deadline_exceeded");
    }

    #[test]
    fn nothing_happens_before_its_time_or_to_nobody() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.delay_ms = Some(10));
        let puts = bed.puts;
        bed.run(crate::Command::Fire(Fire { id })).unwrap();
        let nobody = bed.fresh_id();
        bed.run(crate::Command::Fire(Fire { id: nobody })).unwrap();
        assert_eq!((bed.state(id), bed.puts), (State::Scheduled, puts));
    }
}
