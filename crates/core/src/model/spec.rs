//! What was submitted and never changes: cold from the start.

use minicbor::{Decode, Encode};

use super::payload::Stored;
use crate::Millis;
use crate::key::NameHash;

/// The parts of a submission that no decision needs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Spec {
    /// The input.
    #[n(0)]
    pub input: Stored,
    /// Tags, at most 8.
    #[n(1)]
    pub tags: Option<Vec<(String, String)>>,
    /// Capabilities of preferred workers.
    #[n(2)]
    pub prefer: Option<Vec<String>>,
    /// W3C trace context.
    #[n(3)]
    pub traceparent: Option<String>,
    /// Hash of its idempotency key.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub key: Option<NameHash>,
    /// When it was submitted.
    #[n(5)]
    pub submitted_at: Millis,
    /// Its idempotency key, as it was given.
    #[n(6)]
    pub key_text: Option<String>,
    /// All else is gone; the id is still known.
    #[n(7)]
    pub trimmed: Option<bool>,
}

impl Spec {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}
