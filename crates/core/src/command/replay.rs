//! Replaying: an ended execution runs again, with its journal up to a chosen step.

use super::context::Context;
use super::ending::{Ended, close_attempt, remember};
use super::submit::admit;
use super::{Outcome, Refusal};
use crate::event::EventKind;
use crate::ids::{ExecutionId, RequestId};
use crate::key::{self, Key};
use crate::model::{Execution, Move, StepRecord};

/// Run an ended execution again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// Drop the journal from this step on; `None` keeps it all.
    pub from_step: Option<String>,
    /// The journal, read beforehand if `from_step` is given.
    pub steps: Vec<(String, StepRecord)>,
    /// The request's own id, if it may be sent again: the same one replays once.
    pub request: Option<RequestId>,
}

impl Replay {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::archive(self.id)]
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        if let Some(open) = context.open(&self.namespace, self.id) {
            if self.has_done(&open) {
                return Ok(Outcome::Acted(self.id, open.state()));
            }
            return Err(Refusal::NotFinished(open.state()));
        }
        let mut execution = context.archived(Some(&self.namespace), self.id)?;
        if self.has_done(&execution) {
            // It has even ended again since.
            return Ok(Outcome::Acted(self.id, execution.state()));
        }
        admit(context, &execution.group)?;
        self.drop_steps(context)?;
        let now = context.now();
        if let Some(ended) = execution.end.take() {
            let token = execution.lease.as_deref().map(|lease| lease.token);
            remember(&mut execution, token, ended.body);
            context.delete_cold(key::ended(ended.at, self.id));
            if execution.policy.retention_ms.is_some() {
                let trim_at = ended.at.saturating_add(execution.policy.retention());
                context.delete_cold(key::trim(trim_at, self.id));
            }
            if ended.output.as_ref().is_some_and(|output| output.apart.is_some()) {
                context.delete_cold(key::output(self.id));
            }
            match ended.outcome {
                Some(outcome) => {
                    let last = Ended { outcome, error: ended.error.clone(), body: None, unfinished: false };
                    close_attempt(context, &mut execution, last, ended.at);
                }
                None => execution.lease = None,
            }
        }
        context.delete_cold(key::archive(self.id));
        context.step(&mut execution, Move::Replay)?;
        execution.failures = 0;
        execution.crashes = 0;
        execution.stop = None;
        execution.paused = false;
        execution.revived_at = Some(now);
        execution.replayed_by = self.request.map(Box::new);
        context.enqueue(&mut execution);
        let state = execution.state();
        context.put(execution, EventKind::Replayed);
        Ok(Outcome::Acted(self.id, state))
    }

    /// Whether this very request has replayed it already, and was sent again.
    fn has_done(&self, execution: &Execution) -> bool {
        self.request.is_some() && execution.replayed_by.as_deref() == self.request.as_ref()
    }

    fn drop_steps(&self, context: &mut Context<'_>) -> Result<(), Refusal> {
        let Some(from) = &self.from_step else { return Ok(()) };
        let place = |record: &StepRecord| (record.begun_at, record.sequence);
        let first = self.steps.iter().find(|(key, _)| key == from).map(|(_, record)| place(record));
        let first = first.ok_or_else(|| Refusal::StepNotFound { step: from.clone() })?;
        for (step, _) in self.steps.iter().filter(|(_, record)| place(record) >= first) {
            context.delete_cold(key::step(self.id, step));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, policy};
    use crate::model::{AttemptOutcome, State, StepOutcome};

    /// One that has journaled `a`, `b`, `c`, and ended.
    fn ended(bed: &mut Bed) -> ExecutionId {
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        for step in ["b", "a", "c"] {
            bed.begin(lease, step).unwrap();
            bed.record(lease, step, "1").unwrap();
        }
        bed.complete(lease, "1").unwrap();
        id
    }

    #[test]
    fn it_runs_again_with_its_whole_journal() {
        let mut bed = Bed::new();
        let id = ended(&mut bed);
        bed.pass(1_000);
        assert_eq!(bed.replay(id, None), Ok(State::Ready));
        let grant = bed.claim(1).remove(0);
        assert_eq!((grant.lease.epoch, grant.attempt, grant.journal), (2, 2, true));
        assert!(matches!(bed.begin(grant.lease, "a"), Ok(StepOutcome::Result(_))));
        bed.complete(grant.lease, "2").unwrap();
        let shown = bed.show(id);
        assert_eq!(shown.attempts[0].outcome, AttemptOutcome::Completed);
        assert_eq!(shown.execution.end.unwrap().output.unwrap().inline.unwrap(), "2");
        assert_eq!(bed.store.keys().filter(|key| key.bytes[0] == b'e').count(), 1);
    }

    #[test]
    fn the_journal_is_dropped_from_a_step_on_in_the_order_of_beginning() {
        let mut bed = Bed::new();
        let id = ended(&mut bed);
        assert_eq!(bed.replay(id, Some("nothing")), Err(Refusal::StepNotFound { step: "nothing".into() }));
        bed.replay(id, Some("a")).unwrap();
        assert_eq!(bed.steps(id).into_keys().collect::<Vec<_>>(), ["b"]);
        let lease = bed.lease();
        assert_eq!(bed.begin(lease, "a"), Ok(StepOutcome::Run));
    }

    #[test]
    fn failures_crashes_and_time_outs_count_anew() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| {
            s.policy = policy(|p| {
                (p.retry.max_attempts, p.deadline_ms, p.retention_ms) = (2, Some(10_000), Some(5_000));
            });
        });
        let lease = bed.lease();
        bed.fail_as(lease, "Broken", Some(false), None).unwrap();
        bed.pass(20_000);
        bed.replay(id, None).unwrap();
        let lease = bed.lease();
        assert!(matches!(bed.fail(lease, "Broken"), Ok(Outcome::RetryAt(_))));
        bed.pass(9_999);
        assert_eq!(bed.state(id), State::Ready);
        bed.pass(1);
        assert_eq!(bed.state(id), State::Expired);
        assert_eq!(bed.show(id).attempts.len(), 2);
        bed.pass(crate::model::ID_RETENTION_MS);
        bed.trim(id);
        assert!(bed.store.is_empty(), "{:?}", bed.store.keys());
    }

    #[test]
    fn its_last_worker_is_still_answered_the_same() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.replay(id, None).unwrap();
        assert_eq!(bed.complete(lease, "1"), Ok(Outcome::Ended(State::Completed)));
        assert_eq!(bed.complete(lease, "2"), Err(Refusal::AlreadyCompleted));
    }

    #[test]
    fn every_end_can_be_replayed_but_nothing_open() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        assert_eq!(bed.replay(id, None), Err(Refusal::NotFinished(State::Ready)));
        bed.cancel(id, 0).unwrap();
        assert_eq!(bed.replay(id, None), Ok(State::Ready));
        bed.act(id, crate::command::Action::Pause).unwrap();
        bed.cancel(id, 0).unwrap();
        bed.replay(id, None).unwrap();
        assert_eq!(bed.order(), [id]);
    }

    #[test]
    fn a_request_that_is_sent_again_replays_once() {
        let mut bed = Bed::new();
        let id = ended(&mut bed);
        let request = |n: u8| Some(RequestId([n; 16]));
        assert_eq!(bed.replay_as(id, Some("a"), request(1)), Ok(State::Ready));
        assert_eq!(bed.replay_as(id, Some("a"), request(1)), Ok(State::Ready));
        assert_eq!(bed.replay_as(id, None, request(2)), Err(Refusal::NotFinished(State::Ready)));
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        // Its reply was lost for so long that the replay is over: there is no second one.
        assert_eq!(bed.replay_as(id, Some("a"), request(1)), Ok(State::Completed));
        assert_eq!(bed.replay_as(id, None, request(2)), Ok(State::Ready));
        assert_eq!(bed.replay_as(id, None, None), Err(Refusal::NotFinished(State::Ready)));
    }

    #[test]
    fn nobody_is_not_found_and_neither_is_anothers() {
        let mut bed = Bed::new();
        let nobody = bed.fresh_id();
        assert_eq!(bed.replay(nobody, None), Err(Refusal::NotFound(nobody)));
        let theirs = bed.submit(|s| s.namespace = "theirs".into());
        assert_eq!(bed.replay(theirs, None), Err(Refusal::NotFound(theirs)));
    }
}
