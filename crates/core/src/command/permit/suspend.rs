//! A worker has stopped because a budget asked it to: the attempt waits for money and goes on from its journal.

use super::super::context::Context;
use super::super::ending::{Ended, archive_if_ended, end, remember, repeated};
use super::super::{Outcome, Refusal};
use super::end_lease;
use crate::event::EventKind;
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, ErrorInfo, Execution, Hash, Move, StopReason};
use crate::partition::Partition;

/// The worker's answer to a stop.
#[derive(Clone, Debug)]
pub struct Suspend {
    /// The lease.
    pub lease: LeaseRef,
}

/// What it says, where other words have the hash of their body.
const SUSPENDED: Hash = *b"suspended by it.";

impl Suspend {
    pub(in super::super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    /// Valid only while it is asked to stop: a worker does not suspend its work on its own.
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        match context.leased(&self.lease) {
            Ok(execution) if execution.stop.is_none() => Err(Refusal::NotStopping),
            Ok(execution) => stopped(context, execution, true, Some(SUSPENDED)),
            Err(_) => repeated(context, &self.lease, SUSPENDED),
        }
    }
}

/// What becomes of work that was asked to stop and has; `spoken` by its worker's word, else because its grace is over or
/// its worker is dead.
pub(in super::super) fn stopped(
    context: &mut Context<'_>,
    execution: Execution,
    spoken: bool,
    body: Option<Hash>,
) -> Result<Outcome, Refusal> {
    let reason = execution.stop.as_deref().map(|stop| stop.reason);
    let message = execution.stop.as_deref().and_then(|stop| stop.message.clone());
    match reason {
        Some(StopReason::Suspend) => suspend(context, execution, spoken, body),
        Some(StopReason::BudgetFail) => {
            let error = Some(failure_of(message));
            end(
                context,
                execution,
                Move::Fail,
                Ended { outcome: AttemptOutcome::Failed, error, body, unfinished: false },
                None,
            )
        }
        _ => {
            let message = message.unwrap_or_else(|| "asked to stop, and stopped".to_owned());
            let error_type =
                if reason == Some(StopReason::Cancel) { "cancelled" } else { "budget_exhausted" };
            let error = Some(ErrorInfo::own(error_type, message));
            let outcome = AttemptOutcome::Cancelled;
            end(context, execution, Move::Cancel, Ended { outcome, error, body, unfinished: false }, None)
        }
    }
}

/// The error of an execution that a budget's stop ends.
pub(in super::super) fn failure_of(message: Option<String>) -> ErrorInfo {
    let message = message.unwrap_or_else(|| "its budget is exhausted".to_owned());
    let error_type = if message.starts_with("cap ") { "cap_exceeded" } else { "budget_exhausted" };
    ErrorInfo::own(error_type, message)
}

/// Parks a running execution: same attempt, no failure, at its old place.
fn suspend(
    context: &mut Context<'_>,
    mut execution: Execution,
    spoken: bool,
    body: Option<Hash>,
) -> Result<Outcome, Refusal> {
    end_lease(context, &mut execution, spoken, false);
    context.step(&mut execution, Move::Suspend)?;
    execution.stop = None;
    let token = execution.lease.take().map(|lease| lease.token);
    remember(&mut execution, token, body);
    let state = execution.state();
    context.put(execution, EventKind::Suspended);
    Ok(Outcome::Ended(state))
}
