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
}

impl StepRecord {
    /// A step that `epoch` begins.
    pub fn begun(at: Millis, sequence: u64, epoch: u32) -> Self {
        Self { begun_at: at, sequence, epoch, result: None, hash: None, recorded_at: None, unknown: None }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
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
