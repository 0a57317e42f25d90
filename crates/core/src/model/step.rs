//! The step journal: what an attempt has begun and what came of it.

use minicbor::{Decode, Encode};

use super::payload::{Hash, Stored};
use crate::Millis;

/// A journaled step, under its key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct StepRecord {
    /// When it was first begun; steps are listed in this order.
    #[n(0)]
    pub begun_at: Millis,
    /// Orders steps begun in the same millisecond.
    #[n(1)]
    pub sequence: u64,
    /// The last epoch that began it.
    #[n(2)]
    pub epoch: u32,
    /// The result, once there is one. Larger results stand in the same record: steps are never projected.
    #[n(3)]
    pub result: Option<Stored>,
    /// Hash of the result.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub hash: Option<Hash>,
    /// When the result came.
    #[n(5)]
    pub recorded_at: Option<Millis>,
    /// Whether `epoch` was told that an earlier one had begun it: asked again, it is told so again.
    #[n(6)]
    pub unknown: Option<bool>,
    /// The attempt that `epoch` was; absent if they are the same number.
    #[n(7)]
    attempt: Option<u32>,
    /// The first epoch that began it, if another has since.
    #[n(8)]
    pub first: Option<u32>,
}

impl StepRecord {
    /// A step that an attempt begins under the execution's lease number `epoch`.
    pub fn begun(at: Millis, sequence: u64, epoch: u32, attempt: u32) -> Self {
        Self {
            begun_at: at,
            sequence,
            epoch,
            result: None,
            hash: None,
            recorded_at: None,
            unknown: None,
            attempt: differing(attempt, epoch),
            first: None,
        }
    }

    /// The same step, begun anew by a later attempt that is told of the earlier one.
    #[must_use]
    pub fn begun_again(self, epoch: u32, attempt: u32) -> Self {
        let first = self.first.or(Some(self.epoch));
        Self { epoch, attempt: differing(attempt, epoch), unknown: Some(true), first, ..self }
    }

    /// The last attempt that began it.
    pub fn attempt(&self) -> u32 {
        self.attempt.unwrap_or(self.epoch)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

fn differing(attempt: u32, epoch: u32) -> Option<u32> {
    (attempt != epoch).then_some(attempt)
}

/// What a worker that asks for a step is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepOutcome {
    /// Run it now.
    Run,
    /// An earlier attempt began it and never said how it went.
    Unknown,
    /// Its stored result.
    Result(Stored),
}
