//! Completing: the worker's word that an attempt ended well.

use super::context::Context;
use super::ending::{Ended, archive_if_ended, end, repeated};
use super::{Outcome, Refusal};
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, Move, Payload};
use crate::partition::Partition;

/// End an attempt, and its execution, with an output.
#[derive(Clone, Debug)]
pub struct Complete {
    /// The lease.
    pub lease: LeaseRef,
    /// What the work gave.
    pub output: Payload,
}

impl Complete {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    /// Completing twice with the same output is answered the same; another output is `already_completed`. Work that was
    /// asked to stop and finished first has finished.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let body = self.output.hash();
        let mut execution = match context.leased(&self.lease) {
            Ok(execution) => execution,
            Err(_) => return repeated(context, &self.lease, body),
        };
        execution.stop = None;
        let ended =
            Ended { outcome: AttemptOutcome::Completed, error: None, body: Some(body), unfinished: false };
        end(context, execution, Move::Complete, ended, Some(&self.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, json};
    use crate::command::Command;
    use crate::ids::LeaseToken;
    use crate::model::State;

    #[test]
    fn the_output_is_kept_with_the_attempt() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.pass(10);
        assert_eq!(bed.complete(lease, "42"), Ok(Outcome::Ended(State::Completed)));
        let shown = bed.show(id).execution;
        let end = shown.end.unwrap();
        assert_eq!((shown.attempt, end.outcome, end.at), (1, Some(AttemptOutcome::Completed), bed.now));
        assert_eq!(end.output.unwrap().inline.unwrap(), "42");
        assert_eq!(shown.lease.unwrap().worker.name, "worker-1".into());
        assert!(bed.partition.is_empty());
    }

    #[test]
    fn completing_twice_is_answered_the_same_and_never_changed() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.pass(100_000);
        assert_eq!(bed.complete(lease, "1"), Ok(Outcome::Ended(State::Completed)));
        assert_eq!(bed.complete(lease, "2"), Err(Refusal::AlreadyCompleted));
        let output = Payload { content_type: Some("text/plain".into()), ..json("1") };
        let typed = bed.run(Command::Complete(Complete { lease, output }));
        assert_eq!(typed, Err(Refusal::AlreadyCompleted));
        assert_eq!(bed.fail(lease, "Broken"), Err(Refusal::AlreadyCompleted));
        assert_eq!(bed.show(id).execution.end.unwrap().output.unwrap().inline.unwrap(), "1");
    }

    #[test]
    fn a_stale_or_false_lease_changes_nothing() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        let forged = LeaseRef { token: LeaseToken([0; 16]), ..lease };
        assert_eq!(bed.complete(forged, "1"), Err(Refusal::LeaseLost));
        assert_eq!(bed.complete(LeaseRef { epoch: 2, ..lease }, "1"), Err(Refusal::LeaseLost));
        bed.pass(30_000);
        let next = bed.lease();
        assert_eq!(bed.complete(lease, "1"), Err(Refusal::LeaseLost));
        bed.complete(next, "2").unwrap();
        assert_eq!(bed.complete(lease, "2"), Err(Refusal::LeaseLost));
        assert_eq!(bed.complete(forged, "2"), Err(Refusal::LeaseLost));
        let nobody = LeaseRef { execution: bed.fresh_id(), ..lease };
        assert_eq!(bed.complete(nobody, "2"), Err(Refusal::LeaseLost));
        assert_eq!(bed.show(id).execution.end.unwrap().output.unwrap().inline.unwrap(), "2");
    }

    #[test]
    fn work_asked_to_stop_may_still_complete() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.cancel(id, 1_000).unwrap();
        assert_eq!(bed.complete(lease, "1"), Ok(Outcome::Ended(State::Completed)));
    }

    #[test]
    fn large_outputs_stand_apart() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        let large = "x".repeat(1_025);
        bed.complete(lease, &large).unwrap();
        let shown = bed.show(id);
        assert_eq!(shown.execution.end.unwrap().output.unwrap().apart, Some(1_025));
        assert_eq!(shown.output.unwrap(), large);
        assert_eq!(bed.complete(lease, &large), Ok(Outcome::Ended(State::Completed)));
    }
}
