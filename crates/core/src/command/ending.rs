//! How attempts and executions end: what every way of ending has in common.

use super::context::Context;
use super::release::settles;
use super::{Outcome, Refusal, permit};
use crate::Millis;
use crate::event::EventKind;
use crate::find::Mark;
use crate::ids::{LeaseRef, LeaseToken};
use crate::key::{self, Key};
use crate::model::{
    ArchiveRecord, Attempt, AttemptOutcome, End, ErrorInfo, Execution, Hash, LastWord, Move, Payload, State,
    StopReason, Stored,
};
use crate::partition::Partition;

/// Attempts kept of one execution, the latest: it may be revoked and replayed without end.
const ATTEMPTS_MAX: u32 = 1_000;

/// How an attempt ended, and why.
pub(super) struct Ended {
    pub(super) outcome: AttemptOutcome,
    pub(super) error: Option<ErrorInfo>,
    pub(super) body: Option<Hash>,
    /// Something that it has called may still be spending, although its worker spoke.
    pub(super) unfinished: bool,
}

impl Ended {
    pub(super) fn own(outcome: AttemptOutcome, error_type: &str, message: &str) -> Self {
        Self { outcome, error: Some(ErrorInfo::own(error_type, message)), body: None, unfinished: false }
    }

    /// Whether what its lease held is free by it.
    fn settles(&self) -> bool {
        !self.unfinished && settles(self.body)
    }
}

/// What a worker that holds no lease any more is answered by: the archive record, if the execution is no longer open, and the
/// record of its lease, if there is one.
pub(super) fn archive_if_ended(partition: &Partition, lease: &LeaseRef) -> Vec<Key> {
    let epoch = key::epoch(lease.execution, lease.epoch);
    match partition.execution(lease.execution) {
        Some(open) if open.leased_as(lease).is_some() || open.policy.budgets.is_empty() => Vec::new(),
        Some(_) => vec![epoch],
        None => vec![key::archive(lease.execution), epoch],
    }
}

/// The answer to a worker that holds no lease any more: the same as before if it says the same, under the same lease. What it
/// left in doubt is in doubt no longer.
pub(super) fn repeated(context: &mut Context<'_>, lease: &LeaseRef, body: Hash) -> Result<Outcome, Refusal> {
    let said = match context.partition.execution(lease.execution) {
        Some(open) => open.said_under(lease),
        None => match context.archived(None, lease.execution) {
            Err(Refusal::NotFound(_)) => None,
            other => other?.said_under(lease),
        },
    };
    match said {
        Some((said, state, due_at)) if said == body => {
            Ok(due_at.map_or(Outcome::Ended(state), Outcome::RetryAt))
        }
        Some(_) => Err(Refusal::AlreadyCompleted),
        None if permit::settle_late(context, lease)? => Ok(Outcome::SettledLate),
        None => Err(Refusal::LeaseLost),
    }
}

/// Keeps in mind what a worker said under the lease it gives up.
pub(super) fn remember(execution: &mut Execution, token: Option<LeaseToken>, body: Option<Hash>) {
    if let (Some(token), Some(body)) = (token, body) {
        let (epoch, state) = (execution.epoch, execution.state());
        let due_at = (state == State::Scheduled).then_some(execution.due_at);
        execution.last_word = Some(Box::new(LastWord { epoch, token, body, state, due_at }));
    }
}

/// Ends an execution for good: its record moves from the live to the archive.
pub(super) fn end(
    context: &mut Context<'_>,
    mut execution: Execution,
    step: Move,
    ended: Ended,
    output: Option<&Payload>,
) -> Result<Outcome, Refusal> {
    let now = context.now();
    let was_running = execution.state() == State::Running;
    // By its worker's word, or without ever having been started: nothing is in doubt.
    let settled = !was_running || ended.settles() || ended.outcome == AttemptOutcome::Completed;
    if was_running && !execution.policy.budgets.is_empty() {
        permit::end_lease(context, &mut execution, settled, true);
    } else {
        permit::end_all(context, &mut execution, settled);
    }
    context.step(&mut execution, step)?;
    let kind = match execution.state() {
        State::Completed => EventKind::Completed,
        State::Cancelled => EventKind::Cancelled,
        State::Expired => EventKind::Expired,
        _ => EventKind::Failed,
    };
    let output = output.map(Stored::keep);
    if let Some((_, Some(apart))) = &output {
        context.put_cold(key::output(execution.id), apart.clone());
    }
    execution.end = Some(Box::new(End {
        at: now,
        outcome: was_running.then_some(ended.outcome),
        output: output.map(|(stored, _)| stored),
        error: ended.error,
        body: ended.body,
    }));
    execution.note(now, kind);
    context.event(&execution, kind);
    context.remove(&execution);
    context.put_cold(key::archive(execution.id), ArchiveRecord::encode(&execution));
    context.put_cold(key::ended(now, execution.id), Mark::encode(&execution));
    if execution.policy.retention_ms.is_some() {
        context
            .put_cold(key::trim(now.saturating_add(execution.policy.retention()), execution.id), Vec::new());
    }
    Ok(Outcome::Ended(execution.state()))
}

/// Keeps an attempt that another follows, and takes its lease.
pub(super) fn close_attempt(
    context: &mut Context<'_>,
    execution: &mut Execution,
    ended: Ended,
    ended_at: Millis,
) {
    if execution.state() == State::Running {
        permit::end_lease(context, execution, ended.settles(), true);
    }
    let Some(lease) = execution.lease.take() else { return };
    let attempt = Attempt {
        attempt: execution.attempt,
        worker: lease.worker.name.to_string(),
        started_at: lease.granted_at,
        ended_at,
        outcome: ended.outcome,
        error: ended.error,
        progress: lease.progress,
        spent: execution.spending.as_deref().map(|s| s.attempt_spent.clone()).filter(|s| !s.is_zero()),
    };
    context.put_cold(key::attempt(execution.id, execution.attempt), attempt.encode());
    if let Some(oldest) = execution.attempt.checked_sub(ATTEMPTS_MAX).filter(|oldest| *oldest > 0) {
        context.delete_cold(key::attempt(execution.id, oldest));
    }
}

/// The oldest attempt of which there may be a record.
pub(super) fn oldest_attempt(execution: &Execution) -> u32 {
    // The last attempt stands in the execution's own record, so that one before the last may be that far back.
    execution.attempt.saturating_sub(ATTEMPTS_MAX).max(1)
}

/// After a failed attempt: another one at once, later, or none.
pub(super) fn fail_attempt(
    context: &mut Context<'_>,
    mut execution: Execution,
    ended: Ended,
    retry: Option<bool>,
    retry_after_ms: Option<Millis>,
) -> Result<Outcome, Refusal> {
    execution.failures += 1;
    let policy = execution.policy.clone();
    match execution.stop.as_deref().map(|stop| stop.reason) {
        // A worker that fails of its own while a budget asks it to stop has failed.
        None | Some(StopReason::Suspend) => execution.stop = None,
        Some(StopReason::Cancel | StopReason::BudgetCancel) => {
            return end(context, execution, Move::Cancel, ended, None);
        }
        Some(StopReason::BudgetFail) => {
            // It fails for its budget, whatever its worker made of the stop.
            let mut error =
                permit::failure_of(execution.stop.as_deref().and_then(|stop| stop.message.clone()));
            if let Some(own) = &ended.error {
                error.message += &format!("; it ended with {}: {}", own.error_type, own.message);
            }
            let ended = Ended { error: Some(error), ..ended };
            return end(context, execution, Move::Fail, ended, None);
        }
    }
    let never = ended.error.as_ref().is_some_and(|e| policy.retry.non_retryable.contains(&e.error_type));
    if retry == Some(false) || never || execution.failures >= policy.retry.max_attempts {
        return end(context, execution, Move::Fail, ended, None);
    }
    let kind = match ended.outcome {
        AttemptOutcome::TimedOut => EventKind::AttemptTimedOut,
        _ => EventKind::AttemptFailed,
    };
    let wait = retry_after_ms.unwrap_or_else(|| policy.retry.backoff.wait(execution.id, execution.failures));
    let now = context.now();
    let (token, body) = (execution.lease.as_deref().map(|lease| lease.token), ended.body);
    close_attempt(context, &mut execution, ended, now);
    if wait > 0 {
        context.step(&mut execution, Move::Later)?;
        execution.due_at = now.saturating_add(wait);
    } else {
        context.step(&mut execution, Move::Again)?;
    }
    remember(&mut execution, token, body);
    let outcome =
        if wait > 0 { Outcome::RetryAt(execution.due_at) } else { Outcome::Ended(execution.state()) };
    context.put(execution, kind);
    Ok(outcome)
}
