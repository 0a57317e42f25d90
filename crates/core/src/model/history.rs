//! An execution's transitions as bytes: kind and ms since the one before (the first: since submission), in turn.

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use super::execution::{Execution, HISTORY_MAX, Transition};
use crate::Millis;
use crate::event::EventKind;

/// Written from an execution, read as it stands.
pub(super) enum History<'a> {
    Of(&'a Execution),
    Read(Vec<(i64, Millis)>),
}

impl History<'_> {
    /// The transitions of an execution submitted then. Kinds of later builds are left out.
    pub(super) fn since(self, submitted_at: Millis) -> Vec<Transition> {
        let Self::Read(pairs) = self else { return Vec::new() };
        let mut at = submitted_at;
        let pairs = pairs.into_iter().filter_map(|(code, since)| {
            at = at.saturating_add(since);
            Some(Transition { at, kind: EventKind::from_code(code)? })
        });
        pairs.collect()
    }
}

impl<C> Encode<C> for History<'_> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        let Self::Of(execution) = self else { return e.array(0)?.ok() };
        let transitions = execution.history();
        e.array(2 * transitions.len() as u64)?;
        let mut before = execution.submitted_at;
        for transition in transitions {
            e.i64(transition.kind.code())?.i64(transition.at.saturating_sub(before))?;
            before = transition.at;
        }
        e.ok()
    }
}

impl<'b, C> Decode<'b, C> for History<'_> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let length = d.array()?.ok_or_else(|| Error::message("a history has a length"))?;
        if length % 2 != 0 {
            return Err(Error::message("a history has an odd end"));
        }
        let mut read = Vec::with_capacity(usize::try_from(length / 2).unwrap_or(0).min(HISTORY_MAX));
        for _ in 0..length / 2 {
            read.push((d.i64()?, d.i64()?));
        }
        Ok(Self::Read(read))
    }
}
