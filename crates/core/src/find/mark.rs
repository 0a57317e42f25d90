//! Marks: a few bytes under the key that lists ended executions by time, so that a list can pass over those that it
//! does not want without reading their records.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | low half: the state; high half: which of the others are there |
//! | 4 | hash of the kind |
//! | 4 | hash of the lane, unless it is `default` |
//! | 4 | hash of the error's type, if there is an error |
//! | rest | the namespace as it is, unless it is `default`: no hash decides what is whose |

use xxhash_rust::xxh3::xxh3_64;

use super::{Filter, StateFilter};
use crate::model::{Execution, State};

/// A lane or namespace of this name is left out.
const DEFAULT_NAME: &str = "default";

const HAS_LANE: u8 = 0x10;
const HAS_ERROR: u8 = 0x20;
const HAS_NAMESPACE: u8 = 0x40;
const UNKNOWN: u8 = 0x80;

/// Hash of a name.
type Short = [u8; 4];

/// What an ended execution's mark is compared with: a [`Filter`], hashed once.
#[derive(Clone, Debug)]
pub struct Mark {
    state: Option<u8>,
    kind: Option<Short>,
    lane: Option<Short>,
    error: Option<Short>,
    namespace: Box<[u8]>,
}

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marked {
    /// The filter does not want it.
    Other,
    /// The filter wants it, unless names that differ have the same hash. Tags and times are not looked at.
    Wanted,
    /// An older or newer build has written it: its record must tell.
    Unclear,
}

impl Mark {
    /// The mark of an ended execution.
    pub fn encode(execution: &Execution) -> Vec<u8> {
        let group = &execution.group;
        let error = execution.end.as_deref().and_then(|end| end.error.as_ref());
        let mut mark = Vec::with_capacity(16);
        mark.push(code(execution.state()));
        mark.extend(short(&group.kind));
        let mut flags = 0;
        if &*group.lane != DEFAULT_NAME {
            flags |= HAS_LANE;
            mark.extend(short(&group.lane));
        }
        if let Some(error) = error {
            flags |= HAS_ERROR;
            mark.extend(short(&error.error_type));
        }
        if &*group.namespace != DEFAULT_NAME {
            flags |= HAS_NAMESPACE;
            mark.extend(group.namespace.as_bytes());
        }
        if let Some(first) = mark.first_mut() {
            *first |= flags;
        }
        mark
    }

    /// What a filter wants of marks.
    pub fn wanted(filter: &Filter) -> Self {
        Self {
            state: match filter.state {
                Some(StateFilter::Is(state)) => Some(code(state)),
                _ => None,
            },
            kind: filter.kind.as_deref().map(short),
            lane: filter.lane.as_deref().map(short),
            error: filter.error_type.as_deref().map(short),
            namespace: filter.namespace.as_bytes().into(),
        }
    }

    /// Compares with the mark of one that has ended.
    pub fn compare(&self, mark: &[u8]) -> Marked {
        let Some((parts, namespace)) = parts(mark) else { return Marked::Unclear };
        let [kind, lane, error] = parts.names;
        let other = self.state.is_some_and(|state| state != parts.state)
            || self.kind.is_some() && self.kind != kind
            || self.lane.is_some_and(|wanted| wanted != lane.unwrap_or_else(|| short(DEFAULT_NAME)))
            || self.error.is_some() && self.error != error
            || *self.namespace != *namespace;
        if other { Marked::Other } else { Marked::Wanted }
    }
}

struct Parts {
    state: u8,
    names: [Option<Short>; 3],
}

fn parts(mark: &[u8]) -> Option<(Parts, &[u8])> {
    let (first, mut rest) = mark.split_first()?;
    let mut take = |there: bool| {
        if !there {
            return Some(None);
        }
        let (hash, more) = rest.split_first_chunk::<4>()?;
        rest = more;
        Some(Some(*hash))
    };
    let names = [take(true)?, take(first & HAS_LANE != 0)?, take(first & HAS_ERROR != 0)?];
    let namespace = if first & HAS_NAMESPACE != 0 { rest } else { DEFAULT_NAME.as_bytes() };
    (first & UNKNOWN == 0).then_some((Parts { state: first & 0x0F, names }, namespace))
}

fn short(name: &str) -> Short {
    (xxh3_64(name.as_bytes()) as u32).to_be_bytes()
}

/// The state's number in records.
fn code(state: State) -> u8 {
    match state {
        State::Scheduled => 0,
        State::Ready => 1,
        State::Running => 2,
        State::Completed => 3,
        State::Failed => 4,
        State::Cancelled => 5,
        State::Expired => 6,
        State::Suspended => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::key;

    fn marks(bed: &Bed) -> Vec<Vec<u8>> {
        let rows = bed.store.iter().filter(|(key, _)| key.bytes.first() == Some(&b'e'));
        rows.map(|(_, mark)| mark.to_vec()).collect()
    }

    #[test]
    fn a_mark_tells_what_a_filter_does_not_want() {
        let mut bed = Bed::new();
        bed.submit(|s| (s.kind, s.lane) = ("send".into(), "mail".into()));
        let lease = bed.claim_as(|c| c.filter.lanes = vec!["mail".into()]).remove(0).lease;
        bed.fail_as(lease, "Broken", Some(false), None).unwrap();
        let [mark] = &marks(&bed)[..] else { panic!("one has ended") };
        let all = Filter::all("default");
        let failed = Some(StateFilter::Is(State::Failed));
        let name = |name: &str| Some(name.into());
        for wanted in [
            all.clone(),
            Filter { state: failed, ..all.clone() },
            Filter { kind: name("send"), lane: name("mail"), ..all.clone() },
            Filter { error_type: Some("Broken".into()), ..all.clone() },
        ] {
            assert_eq!(Mark::wanted(&wanted).compare(mark), Marked::Wanted, "{wanted:?}");
        }
        for other in [
            Filter::all("theirs"),
            Filter { state: Some(StateFilter::Is(State::Completed)), ..all.clone() },
            Filter { kind: name("mail"), ..all.clone() },
            Filter { lane: name("send"), ..all.clone() },
            Filter { lane: name("default"), ..all.clone() },
            Filter { error_type: Some("Other".into()), ..all.clone() },
        ] {
            assert_eq!(Mark::wanted(&other).compare(mark), Marked::Other, "{other:?}");
        }
        for unclear in [&b""[..], &[0x83, 1, 2, 3, 4], &mark[..7]] {
            assert_eq!(Mark::wanted(&all).compare(unclear), Marked::Unclear, "{unclear:?}");
        }
    }

    #[test]
    fn defaults_take_no_room_and_namespaces_stand_there_in_full() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        assert_eq!(marks(&bed)[0].len(), 5);
        let lane = Filter { lane: Some("default".into()), ..Filter::all("default") };
        assert_eq!(Mark::wanted(&lane).compare(&marks(&bed)[0]), Marked::Wanted);
        let id = bed.submit(|s| s.namespace = "theirs".into());
        let cancel =
            crate::command::Cancel { namespace: "theirs".into(), id, reason: None, grace_ms: Some(0) };
        bed.run(crate::Command::Cancel(cancel)).unwrap();
        let mark = bed.store.get(&key::ended(bed.now, id)).unwrap().clone();
        assert!(mark.ends_with(b"theirs"));
        assert_eq!(Mark::wanted(&Filter::all("theirs")).compare(&mark), Marked::Wanted);
        assert_eq!(Mark::wanted(&Filter::all("default")).compare(&mark), Marked::Other);
        assert_eq!(Mark::wanted(&Filter::all("their")).compare(&mark), Marked::Other);
    }
}
