//! Inputs, outputs and step results: bytes that core carries and never reads.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use xxhash_rust::xxh3::xxh3_128;

/// Payloads up to this many bytes sit in a record that is written anyway; larger ones get their own.
pub const INLINE_MAX: usize = 1_024;

/// A 128-bit hash of a body, to tell a repetition from a contradiction.
pub type Hash = [u8; 16];

/// Bytes with a content type; `None` means JSON text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    /// The bytes as the client sent them.
    pub bytes: Bytes,
    /// Their type, unless they are JSON.
    pub content_type: Option<String>,
}

impl Payload {
    /// What tells two payloads apart.
    pub fn hash(&self) -> Hash {
        match &self.content_type {
            None => xxh3_128(&self.bytes).to_be_bytes(),
            Some(content_type) => {
                let mut all = Vec::with_capacity(self.bytes.len() + content_type.len() + 1);
                all.extend_from_slice(content_type.as_bytes());
                all.push(0);
                all.extend_from_slice(&self.bytes);
                xxh3_128(&all).to_be_bytes()
            }
        }
    }
}

/// Where a payload is: in the record, or in a record of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Stored {
    /// The bytes, up to [`INLINE_MAX`].
    #[n(0)]
    #[cbor(with = "crate::model::payload::inline", has_nil)]
    pub inline: Option<Bytes>,
    /// Length of the bytes that stand in a record of their own.
    #[n(1)]
    pub apart: Option<u32>,
    /// Content type, unless JSON.
    #[n(2)]
    pub content_type: Option<String>,
}

impl Stored {
    /// Keeps all of a payload in the record: for records that are read on their own.
    pub fn whole(payload: &Payload) -> Self {
        Self { inline: Some(payload.bytes.clone()), apart: None, content_type: payload.content_type.clone() }
    }

    /// How `payload` is kept, and the bytes for a record of their own if it needs one.
    pub fn keep(payload: &Payload) -> (Self, Option<Bytes>) {
        let content_type = payload.content_type.clone();
        if payload.bytes.len() <= INLINE_MAX {
            (Self { inline: Some(payload.bytes.clone()), apart: None, content_type }, None)
        } else {
            let length = u32::try_from(payload.bytes.len()).unwrap_or(u32::MAX);
            (Self { inline: None, apart: Some(length), content_type }, Some(payload.bytes.clone()))
        }
    }
}

/// CBOR of an optional byte string held as [`Bytes`].
pub(crate) mod inline {
    use bytes::Bytes;
    use minicbor::data::Type;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    pub(crate) fn encode<C, W: Write>(
        value: &Option<Bytes>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(bytes) => e.bytes(bytes)?.ok(),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<'b, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<Option<Bytes>, Error> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(None);
        }
        Ok(Some(Bytes::copy_from_slice(d.bytes()?)))
    }

    pub(crate) fn is_nil(value: &Option<Bytes>) -> bool {
        value.is_none()
    }

    pub(crate) fn nil() -> Option<Option<Bytes>> {
        Some(None)
    }
}
