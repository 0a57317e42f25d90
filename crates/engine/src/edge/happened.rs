//! An execution's events as the API shows them, and the cursors between them.

use stint_api::{ExecutionEvent, Instant, Problem};
use stint_core::Millis;
use stint_core::model::{Execution, Happened};

use super::page::pair;

/// The place behind an event. It names the event's time too: where that differs, acknowledged writes were lost or a
/// backup was restored since, and what is there now is another history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    number: u64,
    at: Millis,
}

impl Place {
    /// Reads a cursor.
    pub(crate) fn parse(cursor: &str) -> Result<Self, Problem> {
        let (number, at) = pair(cursor).ok_or_else(|| {
            Problem::invalid("Last-Event-ID", "expected the id of an event of this execution")
        })?;
        Ok(Self { number, at })
    }

    fn of(happened: &Happened) -> Self {
        Self { number: happened.number, at: happened.at }
    }
}

/// What has happened behind a place, and the place behind that.
pub(crate) fn since(execution: &Execution, after: &mut Option<Place>) -> Vec<ExecutionEvent> {
    let all = execution.happened();
    let from = after.map_or(0, |after| first_behind(&all, after));
    if let Some(last) = all.last() {
        *after = Some(Place::of(last));
    }
    let id = execution.id.to_string();
    all.iter()
        .skip(from)
        .map(|happened| ExecutionEvent {
            cursor: format!("{}-{}", happened.number, happened.at),
            event: happened.kind.name().to_owned(),
            at: Instant::from_millis(happened.at),
            attempt: happened.attempt,
            execution: id.clone(),
        })
        .collect()
}

/// The index of the first behind a place; all are, if the place is of another history.
fn first_behind(all: &[Happened], after: Place) -> usize {
    match all.binary_search_by_key(&after.number, |happened| happened.number) {
        Ok(found) if all.get(found).is_some_and(|happened| happened.at == after.at) => found + 1,
        Ok(_) => 0,
        // It is no longer kept, or it never was: then it lies behind all that is there.
        Err(found) if found < all.len() => found,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use stint_core::EventKind;

    use super::*;

    fn happened(number: u64, at: Millis) -> Happened {
        Happened { number, at, kind: EventKind::Leased, attempt: 1 }
    }

    #[test]
    fn what_follows_a_place_is_found_or_everything_if_it_is_of_another_history() {
        let all = [happened(1, 10), happened(52, 500), happened(53, 510), happened(54, 520)];
        let behind = |cursor: &str| first_behind(&all, Place::parse(cursor).unwrap());
        for (cursor, first) in [
            ("1-10", 1),
            ("52-500", 2),
            ("54-520", 4),
            ("20-200", 1),
            ("53-999", 0),
            ("60-520", 0),
            ("0-0", 0),
        ] {
            assert_eq!(behind(cursor), first, "{cursor}");
        }
        for wrong in ["", "5", "-5", "5-", "a-5", "5-+5", "5-5-5", "99999999999999999999999-5"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
