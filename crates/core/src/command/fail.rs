//! Failing: the worker's word that an attempt ended badly.

use super::context::Context;
use super::ending::{Ended, archive_if_ended, fail_attempt, repeated};
use super::{Outcome, Refusal};
use crate::Millis;
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, ErrorInfo, Hash, Payload};
use crate::partition::Partition;

/// End an attempt with an error; the policy says whether another follows, unless the worker does.
#[derive(Clone, Debug)]
pub struct Fail {
    /// The lease.
    pub lease: LeaseRef,
    /// What went wrong.
    pub error: ErrorInfo,
    /// `false` means no other attempt.
    pub retry: Option<bool>,
    /// The wait before the next attempt, instead of the policy's.
    pub retry_after_ms: Option<Millis>,
    /// A step of it was broken off: what that has called may still be spending.
    pub unfinished: bool,
}

impl Fail {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let body = self.body();
        let execution = match context.leased(&self.lease) {
            Ok(execution) => execution,
            Err(_) => return repeated(context, &self.lease, body),
        };
        let ended = Ended {
            outcome: AttemptOutcome::Failed,
            error: Some(self.error.clone()),
            body: Some(body),
            unfinished: self.unfinished,
        };
        fail_attempt(context, execution, ended, self.retry, self.retry_after_ms)
    }

    fn body(&self) -> Hash {
        let text = format!(
            "{}\0{}\0{}",
            self.error.error_type,
            self.error.message,
            self.error.details.as_deref().unwrap_or_default()
        );
        // The content type keeps a failure apart from an output of the same bytes.
        Payload { bytes: text.into(), content_type: Some("failure".into()) }.hash()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, policy};
    use crate::model::{BackoffKind, State};

    #[test]
    fn attempts_follow_with_growing_waits_until_none_is_left() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.policy = policy(|p| p.retry.max_attempts = 4));
        for wait in [1_000, 2_000, 4_000] {
            let lease = bed.lease();
            let due = Ok(Outcome::RetryAt(bed.now + wait));
            assert_eq!(bed.fail(lease, "Broken"), due);
            bed.pass(wait / 2);
            assert_eq!(bed.fail(lease, "Broken"), due, "said again");
            assert!(bed.claim(1).is_empty());
            assert_eq!(bed.partition.next_due(), Some(bed.now + wait - wait / 2));
            bed.pass(wait - wait / 2);
            assert_eq!(bed.fail(lease, "Broken"), due, "its time has come");
        }
        let lease = bed.lease();
        assert_eq!(bed.fail(lease, "Broken"), Ok(Outcome::Ended(State::Failed)));
        let shown = bed.show(id);
        assert_eq!(shown.attempts.len(), 3);
        assert!(shown.attempts.iter().all(|a| a.outcome == AttemptOutcome::Failed && a.worker == "worker-1"));
        assert_eq!(shown.attempts.iter().map(|a| a.attempt).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(shown.execution.end.unwrap().error.unwrap().error_type, "Broken");
    }

    #[test]
    fn the_cap_and_a_fixed_wait_are_kept() {
        let mut bed = Bed::new();
        bed.submit(|s| {
            s.policy = policy(|p| {
                p.retry.max_attempts = 9;
                p.retry.backoff.kind = BackoffKind::Fixed;
                p.retry.backoff.delay_ms = 70_000;
            });
        });
        for _ in 0..3 {
            let lease = bed.lease();
            bed.fail(lease, "Broken").unwrap();
            assert_eq!(bed.partition.next_due(), Some(bed.now + 60_000));
            bed.pass(60_000);
        }
    }

    #[test]
    fn some_failures_are_final() {
        for (error_type, retry) in [("Fatal", None), ("Fatal", Some(true)), ("Broken", Some(false))] {
            let mut bed = Bed::new();
            let id = bed.submit(|s| s.policy = policy(|p| p.retry.non_retryable = vec!["Fatal".into()]));
            let lease = bed.lease();
            let ended = bed.fail_as(lease, error_type, retry, None);
            assert_eq!(ended, Ok(Outcome::Ended(State::Failed)), "{error_type} {retry:?}");
            assert_eq!(bed.show(id).execution.attempt, 1);
        }
    }

    #[test]
    fn the_worker_may_choose_the_wait() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        bed.fail_as(lease, "RateLimited", None, Some(7_000)).unwrap();
        assert_eq!(bed.partition.next_due(), Some(bed.now + 7_000));
        bed.pass(7_000);
        let lease = bed.lease();
        let at_once = bed.fail_as(lease, "RateLimited", None, Some(0));
        assert_eq!(at_once, Ok(Outcome::Ended(State::Ready)));
        bed.lease();
    }

    #[test]
    fn failing_twice_is_answered_the_same_also_when_another_attempt_follows() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let first = bed.lease();
        let state = bed.fail(first, "Broken");
        assert_eq!(bed.fail(first, "Broken"), state);
        assert_eq!(bed.fail(first, "Other"), Err(Refusal::AlreadyCompleted));
        bed.pass(1_000);
        let second = bed.lease();
        assert_eq!(bed.fail(first, "Broken"), state);
        assert_eq!(bed.complete(first, "1"), Err(Refusal::AlreadyCompleted));
        bed.fail_as(second, "Broken", Some(false), None).unwrap();
        let ended = bed.fail(second, "Broken");
        assert_eq!(ended, Ok(Outcome::Ended(State::Failed)));
        assert_eq!(bed.fail(first, "Broken"), state);
    }

    #[test]
    fn work_asked_to_stop_is_cancelled_by_its_failure() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.cancel(id, 1_000).unwrap();
        assert_eq!(bed.fail(lease, "Stopped"), Ok(Outcome::Ended(State::Cancelled)));
        assert_eq!(bed.fail(lease, "Stopped"), Ok(Outcome::Ended(State::Cancelled)));
    }
}
