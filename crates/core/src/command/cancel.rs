//! Cancelling: at once what no worker holds; by request and grace what one does.

use super::context::Context;
use super::ending::{Ended, end};
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{AttemptOutcome, ErrorInfo, Move, State, Stop, StopReason};
use crate::partition::Partition;

/// A worker's time to stop, unless whoever cancels says another.
pub const CANCEL_GRACE_MS: Millis = 30_000;

/// Stop an execution.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// In the words of whoever asks.
    pub reason: Option<String>,
    /// How long a worker has to follow before its lease is taken; `None` is [`CANCEL_GRACE_MS`].
    pub grace_ms: Option<Millis>,
}

impl Cancel {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    /// Cancelling twice is fine, and may shorten the grace, never prolong it; cancelling what has ended otherwise says so.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let Some(mut execution) = context.open(&self.namespace, self.id) else {
            let ended = context.archived(Some(&self.namespace), self.id)?.state();
            return if ended == State::Cancelled {
                Ok(Outcome::Acted(self.id, ended))
            } else {
                Err(Refusal::Finished(ended))
            };
        };
        if execution.state() != State::Running {
            let message = self.reason.clone().unwrap_or_else(|| "cancelled before it was started".into());
            let error = Some(ErrorInfo::own("cancelled", message));
            let ended = Ended { outcome: AttemptOutcome::Cancelled, error, body: None, unfinished: false };
            end(context, execution, Move::Cancel, ended, None)?;
            return Ok(Outcome::Acted(self.id, State::Cancelled));
        }
        let grace_ms = self.grace_ms.unwrap_or(CANCEL_GRACE_MS).max(0);
        let until = context.now().saturating_add(grace_ms);
        // A budget's stop becomes a cancel: what stops for it must not go on later.
        let other = |stop: &Stop| stop.reason != StopReason::Cancel;
        if execution.stop.as_deref().is_none_or(|stop| stop.until > until || other(stop)) {
            let message = self.reason.clone().or(execution.stop.and_then(|stop| stop.message));
            execution.stop = Some(Box::new(Stop { reason: StopReason::Cancel, message, until }));
            context.put(execution, EventKind::CancelRequested);
        }
        Ok(Outcome::Acted(self.id, State::Running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, acted};
    use crate::command::Command;

    #[test]
    fn what_no_worker_holds_ends_at_once() {
        let mut bed = Bed::new();
        let ready = bed.submit(|_| ());
        let scheduled = bed.submit(|s| s.delay_ms = Some(1_000));
        for id in [ready, scheduled] {
            assert_eq!(bed.cancel(id, 10_000), Ok(State::Cancelled));
            let end = bed.show(id).execution.end.unwrap();
            assert_eq!((end.outcome, end.error.unwrap().message.as_str()), (None, "not needed"));
            assert_eq!(bed.cancel(id, 0), Ok(State::Cancelled), "cancelling twice is fine");
        }
        assert!(bed.partition.is_empty());
    }

    #[test]
    fn a_worker_has_its_grace_and_then_loses_its_lease() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        assert_eq!(bed.cancel(id, 5_000), Ok(State::Running));
        bed.pass(4_999);
        assert!(bed.heartbeat(lease).unwrap().stop.is_some());
        bed.pass(1);
        assert_eq!(bed.state(id), State::Cancelled);
        let end = bed.show(id).execution.end.unwrap();
        assert_eq!((end.outcome, end.at), (Some(AttemptOutcome::Cancelled), bed.now));
        assert_eq!(bed.complete(lease, "1"), Err(Refusal::LeaseLost));
        assert_eq!(bed.kinds(id).last(), Some(&EventKind::Cancelled));
    }

    #[test]
    fn a_grace_that_nobody_named_is_half_a_minute() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.run(Command::Cancel(Cancel { namespace: "default".into(), id, reason: None, grace_ms: None }))
            .unwrap();
        assert_eq!(bed.heartbeat(lease).unwrap().stop.unwrap().grace_ms, 30_000);
    }

    #[test]
    fn a_second_cancel_may_shorten_the_grace_and_never_prolongs_it() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.cancel(id, 5_000).unwrap();
        bed.cancel(id, 9_000).unwrap();
        assert_eq!(bed.heartbeat(lease).unwrap().stop.unwrap().grace_ms, 5_000);
        bed.cancel(id, 1_000).unwrap();
        bed.pass(1_000);
        assert_eq!(bed.state(id), State::Cancelled);
    }

    #[test]
    fn a_worker_that_dies_in_its_grace_gets_no_successor() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        bed.lease();
        bed.cancel(id, 600_000).unwrap();
        bed.pass(30_000);
        assert_eq!(bed.state(id), State::Cancelled);
    }

    #[test]
    fn what_has_ended_otherwise_says_so() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        assert_eq!(bed.cancel(id, 0), Err(Refusal::Finished(State::Completed)));
    }

    #[test]
    fn nobody_is_not_found_and_neither_is_anothers() {
        let mut bed = Bed::new();
        let nobody = bed.fresh_id();
        assert_eq!(bed.cancel(nobody, 0), Err(Refusal::NotFound(nobody)));
        let theirs = bed.submit(|s| s.namespace = "theirs".into());
        assert_eq!(bed.cancel(theirs, 0), Err(Refusal::NotFound(theirs)));
        let cancel = Cancel { namespace: "theirs".into(), id: theirs, reason: None, grace_ms: Some(0) };
        assert_eq!(acted(bed.run(Command::Cancel(cancel))), Ok(State::Cancelled));
        assert_eq!(bed.cancel(theirs, 0), Err(Refusal::NotFound(theirs)));
    }
}
