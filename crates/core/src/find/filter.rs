//! What a list or a count is about.

use std::ops::Range;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::Summary;
use crate::Millis;
use crate::model::State;

/// Which executions are wanted: all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Whose; there is no list of all.
    pub namespace: Arc<str>,
    /// In this state.
    pub state: Option<StateFilter>,
    /// In this lane.
    pub lane: Option<Arc<str>>,
    /// Of this kind.
    pub kind: Option<Arc<str>>,
    /// With all of these tags.
    pub tags: Vec<(String, String)>,
    /// Ended with an error of this type.
    pub error_type: Option<String>,
    /// Not before this instant: the end of those that have ended, else the submission.
    pub since: Option<Millis>,
    /// Before this instant, likewise.
    pub until: Option<Millis>,
    /// Only open ones, or only those that have ended.
    pub only: Option<Only>,
}

/// A half of all executions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Only {
    /// Those that have not ended.
    #[n(0)]
    Open,
    /// Those that have.
    #[n(1)]
    Ended,
}

/// A state as lists name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum StateFilter {
    /// This one. `Ready` is only what nothing holds back.
    #[n(0)]
    Is(#[n(0)] State),
    /// Ready, but held back by a pause of its own or of its lane.
    #[n(1)]
    Blocked,
    /// A state that nothing can be in by the rules of this level.
    #[n(2)]
    Never,
}

impl Filter {
    /// Everything of a namespace.
    pub fn all(namespace: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            state: None,
            lane: None,
            kind: None,
            tags: Vec::new(),
            error_type: None,
            since: None,
            until: None,
            only: None,
        }
    }

    /// Whether an execution is wanted.
    pub fn matches(&self, summary: &Summary) -> bool {
        let group = &summary.group;
        let tag = |wanted: &(String, String)| summary.tags.contains(wanted);
        let error = summary.error.as_ref().map(|error| error.error_type.as_str());
        let half = if summary.ended_at.is_some() { Only::Ended } else { Only::Open };
        group.namespace == self.namespace
            && self.only.is_none_or(|only| only == half)
            && self.state.is_none_or(|wanted| wanted.holds(summary.state, summary.blocked_by.is_some()))
            && self.lane.as_ref().is_none_or(|lane| *lane == group.lane)
            && self.kind.as_ref().is_none_or(|kind| *kind == group.kind)
            && self.error_type.as_deref().is_none_or(|wanted| error == Some(wanted))
            && self.span().contains(&summary.ended_at.unwrap_or(summary.submitted_at))
            && self.tags.iter().all(tag)
    }

    /// The instants that are wanted.
    pub fn span(&self) -> Range<Millis> {
        self.since.unwrap_or(Millis::MIN)..self.until.unwrap_or(Millis::MAX)
    }

    /// Whether an open execution can match: only what has ended has an error.
    pub fn wants_open(&self) -> bool {
        let state = match self.state {
            None | Some(StateFilter::Blocked) => true,
            Some(StateFilter::Is(state)) => !state.is_end(),
            Some(StateFilter::Never) => false,
        };
        state && self.error_type.is_none() && self.only != Some(Only::Ended)
    }

    /// Whether an ended execution can match.
    pub fn wants_ended(&self) -> bool {
        if self.only == Some(Only::Open) {
            return false;
        }
        match self.state {
            None => true,
            Some(StateFilter::Is(state)) => state.is_end(),
            Some(StateFilter::Blocked | StateFilter::Never) => false,
        }
    }
}

impl StateFilter {
    /// Whether a state is this one; `blocked` says whether something holds it back.
    pub(crate) fn holds(self, state: State, blocked: bool) -> bool {
        match self {
            Self::Is(wanted) => wanted == state && !blocked,
            Self::Blocked => blocked,
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::find::Summary;
    use crate::model::LaneMode;

    fn summary(bed: &mut Bed, mode: LaneMode) -> Summary {
        let id = bed.submit(|s| (s.lane, s.kind) = ("mail".into(), "send".into()));
        let mut summary = Summary::of(bed.partition.execution(id).unwrap(), mode);
        summary.tags = vec![("team".into(), "search".into()), ("run".into(), "5".into())];
        summary
    }

    #[test]
    fn each_condition_counts() {
        let mut bed = Bed::new();
        let one = summary(&mut bed, LaneMode::Open);
        let at = one.submitted_at;
        let all = Filter::all("default");
        assert!(all.matches(&one) && all.wants_open() && all.wants_ended());
        let tag = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let both = [tag("team", "search"), tag("run", "5")].concat();
        let ready = Some(StateFilter::Is(State::Ready));
        for wanted in [
            Filter { state: ready, ..all.clone() },
            Filter { lane: Some("mail".into()), kind: Some("send".into()), ..all.clone() },
            Filter { tags: tag("run", "5"), ..all.clone() },
            Filter { tags: both.clone(), ..all.clone() },
            Filter { since: Some(at), until: Some(at + 1), ..all.clone() },
        ] {
            assert!(wanted.matches(&one), "{wanted:?}");
        }
        for other in [
            Filter::all("theirs"),
            Filter { state: Some(StateFilter::Is(State::Running)), ..all.clone() },
            Filter { state: Some(StateFilter::Blocked), ..all.clone() },
            Filter { state: Some(StateFilter::Never), ..all.clone() },
            Filter { lane: Some("send".into()), ..all.clone() },
            Filter { kind: Some("mail".into()), ..all.clone() },
            Filter { tags: tag("team", "5"), ..all.clone() },
            Filter { tags: [both, tag("more", "")].concat(), ..all.clone() },
            Filter { error_type: Some("Broken".into()), ..all.clone() },
            Filter { since: Some(at + 1), ..all.clone() },
            Filter { until: Some(at), ..all },
        ] {
            assert!(!other.matches(&one), "{other:?}");
        }
    }

    #[test]
    fn what_is_held_back_is_blocked_and_not_ready() {
        let one = summary(&mut Bed::new(), LaneMode::Paused);
        let is = |state| Filter { state: Some(state), ..Filter::all("default") }.matches(&one);
        assert!(is(StateFilter::Blocked) && !is(StateFilter::Is(State::Ready)));
    }

    #[test]
    fn an_ended_one_counts_by_its_end() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.pass(1_000);
        bed.fail_as(lease, "Broken", Some(false), None).unwrap();
        let one = Summary::of(&bed.show(id).execution, LaneMode::Paused);
        let all = Filter::all("default");
        let failed = Filter { state: Some(StateFilter::Is(State::Failed)), ..all.clone() };
        assert!(failed.matches(&one) && failed.wants_ended() && !failed.wants_open());
        let broken = Filter { error_type: Some("Broken".into()), ..all.clone() };
        assert!(broken.matches(&one) && !broken.wants_open());
        assert!(Filter { since: Some(bed.now), ..all.clone() }.matches(&one));
        assert!(!Filter { until: Some(bed.now), ..all }.matches(&one));
    }
}
