//! The step journal: a step whose result is acknowledged never runs again.

use super::context::Context;
use super::{Outcome, Refusal};
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
        context.check_lease(&self.lease)?;
        let at = key::step(self.lease.execution, &self.key);
        let epoch = self.lease.epoch;
        let (record, outcome) = match context.decode::<StepRecord>(&at)? {
            None => (StepRecord::begun(context.now(), context.sequence(), epoch), StepOutcome::Run),
            Some(StepRecord { result: Some(result), .. }) => {
                return Ok(Outcome::Step(StepOutcome::Result(result)));
            }
            Some(record) if record.epoch == epoch => {
                let unknown = record.unknown == Some(true);
                return Ok(Outcome::Step(if unknown { StepOutcome::Unknown } else { StepOutcome::Run }));
            }
            Some(record) => (StepRecord { epoch, unknown: Some(true), ..record }, StepOutcome::Unknown),
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
        context.check_lease(&self.lease)?;
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
        context.put_cold(at, record.encode());
        Ok(Outcome::Done)
    }
}
