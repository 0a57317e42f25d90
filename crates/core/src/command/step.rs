//! The step journal: a step whose result is acknowledged never runs again.

use super::context::Context;
use super::{Outcome, Refusal, permit};
use crate::ids::LeaseRef;
use crate::key::{self, Key};
use crate::model::{Payload, StepOutcome, StepRecord, Stored};

/// Ask for a step: its stored result, or leave to run it.
#[derive(Clone, Debug)]
pub struct BeginStep {
    /// The lease.
    pub lease: LeaseRef,
    /// The step's key, stable across attempts.
    pub key: String,
}

impl BeginStep {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::step(self.lease.execution, &self.key)]
    }

    /// `Run` to the epoch that begins it; `Unknown` to a later one while no result came; the same if asked again.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let attempt = context.leased_attempt(&self.lease)?;
        let at = key::step(self.lease.execution, &self.key);
        let epoch = self.lease.epoch;
        let (record, outcome) = match context.decode::<StepRecord>(&at)? {
            None => (StepRecord::begun(context.now(), context.sequence(), epoch, attempt), StepOutcome::Run),
            Some(StepRecord { result: Some(result), .. }) => {
                return Ok(Outcome::Step(StepOutcome::Result(result)));
            }
            Some(record) if record.epoch == epoch => {
                let unknown = record.unknown == Some(true);
                return Ok(Outcome::Step(if unknown { StepOutcome::Unknown } else { StepOutcome::Run }));
            }
            Some(record) => (record.begun_again(epoch, attempt), StepOutcome::Unknown),
        };
        context.put_cold(at, record.encode());
        Ok(Outcome::Step(outcome))
    }
}

/// Journal a step's result.
#[derive(Clone, Debug)]
pub struct RecordStep {
    /// The lease.
    pub lease: LeaseRef,
    /// The step's key.
    pub key: String,
    /// Its result.
    pub output: Payload,
}

impl RecordStep {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::step(self.lease.execution, &self.key)]
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        context.leased_attempt(&self.lease)?;
        let at = key::step(self.lease.execution, &self.key);
        let hash = self.output.hash();
        let mut record = match context.decode::<StepRecord>(&at)? {
            Some(record) if record.result.is_some() => {
                return if record.hash == Some(hash) {
                    Ok(Outcome::Done)
                } else {
                    Err(Refusal::StepAlreadyRecorded { step: self.key.clone() })
                };
            }
            Some(record) if record.epoch == self.lease.epoch => record,
            _ => return Err(Refusal::StepNotStarted { step: self.key.clone() }),
        };
        record.result = Some(Stored::whole(&self.output));
        record.hash = Some(hash);
        record.recorded_at = Some(context.now());
        if let Some(first) = record.first {
            // It is known now what became of it.
            permit::settle_earlier(context, self.lease.execution, first..record.epoch)?;
        }
        context.put_cold(at, record.encode());
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;

    fn result(outcome: Result<StepOutcome, Refusal>) -> bytes::Bytes {
        match outcome {
            Ok(StepOutcome::Result(stored)) => stored.inline.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_recorded_step_never_runs_again() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        assert_eq!(bed.begin(lease, "a"), Ok(StepOutcome::Run));
        assert_eq!(bed.begin(lease, "a"), Ok(StepOutcome::Run), "asked twice in one epoch");
        bed.record(lease, "a", "1").unwrap();
        assert_eq!(result(bed.begin(lease, "a")), "1");
        bed.pass(30_000);
        let next = bed.lease();
        assert_eq!(result(bed.begin(next, "a")), "1");
    }

    #[test]
    fn a_step_whose_end_is_not_known_says_so_to_the_next_attempt_as_often_as_it_asks() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        bed.begin(lease, "a").unwrap();
        for _ in 0..2 {
            bed.pass(30_000);
            let next = bed.lease();
            assert_eq!(bed.begin(next, "a"), Ok(StepOutcome::Unknown));
            assert_eq!(bed.begin(next, "a"), Ok(StepOutcome::Unknown), "its answer may have been lost");
            assert_eq!(bed.begin(lease, "a"), Err(Refusal::LeaseLost));
            assert_eq!(bed.record(lease, "a", "1"), Err(Refusal::LeaseLost));
        }
        bed.pass(30_000);
        let last = bed.lease();
        let not_begun = Err(Refusal::StepNotStarted { step: "a".into() });
        assert_eq!(bed.record(last, "a", "1"), not_begun, "not under this lease");
        bed.begin(last, "a").unwrap();
        bed.record(last, "a", "2").unwrap();
        assert_eq!(result(bed.begin(last, "a")), "2");
    }

    #[test]
    fn a_result_is_kept_once() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        let not_begun = Err(Refusal::StepNotStarted { step: "a".into() });
        assert_eq!(bed.record(lease, "a", "1"), not_begun);
        bed.begin(lease, "a").unwrap();
        assert_eq!(bed.record(lease, "a", "1"), Ok(Outcome::Done));
        assert_eq!(bed.record(lease, "a", "1"), Ok(Outcome::Done));
        let other = Err(Refusal::StepAlreadyRecorded { step: "a".into() });
        assert_eq!(bed.record(lease, "a", "2"), other);
    }

    #[test]
    fn a_step_names_the_attempt_that_began_it_last() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let unused = bed.lease();
        bed.release(unused).unwrap();
        let lease = bed.lease();
        bed.begin(lease, "a").unwrap();
        let attempt = |bed: &Bed| bed.steps(id)["a"].1.attempt();
        assert_eq!((lease.epoch, attempt(&bed)), (2, 1));
        bed.pass(30_000);
        let next = bed.lease();
        bed.begin(next, "a").unwrap();
        bed.record(next, "a", "1").unwrap();
        assert_eq!((next.epoch, attempt(&bed)), (3, 2));
    }

    #[test]
    fn a_large_result_is_whole() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        let large = "x".repeat(100_000);
        bed.begin(lease, "a").unwrap();
        bed.record(lease, "a", &large).unwrap();
        assert_eq!(result(bed.begin(lease, "a")), large);
    }
}
