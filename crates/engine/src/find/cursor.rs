//! Where a page ended, as an opaque text that only fits the filter it was made with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stint_api::Problem;
use stint_core::find::{Filter, Position, StateFilter};
use stint_core::{ExecutionId, Millis};
use xxhash_rust::xxh3::xxh3_64;

use crate::edge::page::bad_cursor;

/// Above every place.
pub(super) const START: Position = (Millis::MAX, ExecutionId([0xFF; 16]));

/// The first byte of a cursor: how it is written.
const FORMAT: u8 = 1;

/// Bytes of a cursor: format, part, hash of the filter, instant, id.
const BYTES: usize = 1 + 1 + 8 + 8 + 16;

/// A place in a list of all that a filter wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    pub(super) part: Part,
    /// What is next is below it.
    pub(super) before: Position,
}

/// A part of a list; each has an order of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Open executions, by submission.
    Open = 0,
    /// Ended ones, by end.
    Ended = 1,
    /// Those with a tag, by submission.
    Tagged = 2,
}

impl Cursor {
    /// The start of a list.
    pub(super) fn first(filter: &Filter) -> Self {
        let part = if filter.tags.is_empty() { Part::Open } else { Part::Tagged };
        Self { part, before: START }
    }

    /// Its text.
    pub(crate) fn encode(&self, filter: &Filter) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(FORMAT);
        bytes.push(self.part as u8);
        bytes.extend(hash(filter).to_be_bytes());
        bytes.extend(self.before.0.to_be_bytes());
        bytes.extend(self.before.1.0);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that was made for this filter.
    pub(crate) fn decode(text: &str, filter: &Filter) -> Result<Self, Problem> {
        let wrong = bad_cursor;
        let bytes =
            URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == BYTES).ok_or_else(wrong)?;
        let eight = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
        let id = bytes.get(18..).and_then(|id| id.try_into().ok()).map(ExecutionId).ok_or_else(wrong)?;
        let (made_for, at) = eight(2).zip(eight(10)).ok_or_else(wrong)?;
        let tagged = !filter.tags.is_empty();
        let part = match (bytes.first(), bytes.get(1)) {
            (Some(&FORMAT), Some(0)) if !tagged => Part::Open,
            (Some(&FORMAT), Some(1)) if !tagged => Part::Ended,
            (Some(&FORMAT), Some(2)) if tagged => Part::Tagged,
            (Some(&FORMAT), Some(0..=2)) => return Err(another_filter()),
            _ => return Err(wrong()),
        };
        if made_for != hash(filter) {
            return Err(another_filter());
        }
        Ok(Self { part, before: (at as Millis, id) })
    }
}

fn another_filter() -> Problem {
    Problem::invalid("cursor", "the cursor was made with another filter or namespace")
        .remedy("Repeat the filter of the first page with every cursor, or leave the cursor out.")
}

/// Tells filters apart.
fn hash(filter: &Filter) -> u64 {
    let Filter { namespace, state, lane, kind, tags, error_type, since, until, only } = filter;
    let state = match state {
        None => "",
        Some(StateFilter::Is(state)) => state.name(),
        Some(StateFilter::Blocked) => "blocked",
        Some(StateFilter::Never) => "never",
    };
    let mut bytes = Vec::new();
    let mut add = |field: u8, text: &[u8]| {
        bytes.push(field);
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text);
    };
    add(0, namespace.as_bytes());
    add(1, state.as_bytes());
    lane.iter().for_each(|lane| add(2, lane.as_bytes()));
    kind.iter().for_each(|kind| add(3, kind.as_bytes()));
    error_type.iter().for_each(|error| add(4, error.as_bytes()));
    since.iter().for_each(|since| add(5, &since.to_be_bytes()));
    until.iter().for_each(|until| add(6, &until.to_be_bytes()));
    only.iter().for_each(|only| add(9, &[*only as u8]));
    for (key, value) in tags {
        add(7, key.as_bytes());
        add(8, value.as_bytes());
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(part: Part) -> Cursor {
        Cursor { part, before: (1_763_895_600_123, ExecutionId([7; 16])) }
    }

    #[test]
    fn it_reads_back_for_its_own_filter_only() {
        let all = Filter::all("default");
        let text = at(Part::Ended).encode(&all);
        assert_eq!(Cursor::decode(&text, &all), Ok(at(Part::Ended)));
        let tags = vec![("a".to_owned(), "b".to_owned())];
        for other in [
            Filter::all("theirs"),
            Filter { state: Some(StateFilter::Blocked), ..all.clone() },
            Filter { lane: Some("a".into()), ..all.clone() },
            Filter { kind: Some("a".into()), ..all.clone() },
            Filter { error_type: Some("a".into()), ..all.clone() },
            Filter { since: Some(1), ..all.clone() },
            Filter { until: Some(1), ..all.clone() },
            Filter { tags, ..all },
        ] {
            assert_eq!(
                Cursor::decode(&text, &other).unwrap_err().field.as_deref(),
                Some("cursor"),
                "{other:?}"
            );
            let part = Cursor::first(&other).part;
            assert_eq!(Cursor::decode(&at(part).encode(&other), &other), Ok(at(part)));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let all = Filter::all("default");
        let text = at(Part::Open).encode(&all);
        for wrong in ["", "x", "*", &text[1..], &format!("{text}A"), &format!("B{}", &text[1..])] {
            let problem = Cursor::decode(wrong, &all).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("cursor"), "{wrong}");
        }
    }
}
