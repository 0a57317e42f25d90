//! The clock: what is due for one execution, decided again from its record at the moment it is run.

use super::context::Context;
use super::ending::{Ended, close_attempt, end, fail_attempt};
use super::{Outcome, Refusal};
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::model::{AttemptOutcome, Execution, Move, State};

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
            let ended = Ended::own(
                AttemptOutcome::Cancelled,
                "cancelled",
                "asked to stop, and stopped after its grace",
            );
            end(context, execution, Move::Cancel, ended, None)?;
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
    if execution.stop.is_some() {
        end(context, execution, Move::Cancel, ended, None)?;
        return Ok(());
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

fn ready(context: &mut Context<'_>, mut execution: Execution) -> Result<(), Refusal> {
    context.step(&mut execution, Move::Due)?;
    execution.due_at = 0;
    context.enqueue(&mut execution);
    context.put(execution, EventKind::Ready);
    Ok(())
}
