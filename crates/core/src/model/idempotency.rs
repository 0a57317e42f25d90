//! Idempotency keys: which execution a key stands for.

use minicbor::{Decode, Encode};

use super::payload::Hash;
use crate::Millis;

/// A key is kept at least this long: 24 h.
pub const KEY_RETENTION_MS: Millis = 24 * 3_600 * 1_000;

/// An id is known at least this long after its submission: 1 h, longer than any client sends a request again, so that
/// one that ended and went at once is not made a second time.
pub const ID_RETENTION_MS: Millis = 3_600 * 1_000;

/// What a submission's `idempotency_key` stands for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct IdempotencyRecord {
    /// The first execution submitted under it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub execution: [u8; 16],
    /// Hash of the body as the client sent it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub body: Hash,
    /// When.
    #[n(2)]
    pub submitted_at: Millis,
}

impl IdempotencyRecord {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}
