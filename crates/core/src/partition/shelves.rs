//! Open executions by what lists ask for, newest first: five shelves for each group.
//!
//! Unlike every other index they are not always there: lists are rare and the memory is better spent. They are built in
//! bounded steps, in the order of ids, when somebody first lists; from then on every put keeps what is built already.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::find::{Filter, Position, StateFilter};
use crate::ids::ExecutionId;
use crate::model::{Execution, Group, LaneMode, State};

/// One group's open executions, each on its shelf.
type Rack = [BTreeSet<Position>; 5];

/// The shelves of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shelf {
    Scheduled,
    Ready,
    /// Ready, and paused itself or waiting for a budget. A paused lane holds back all of its ready work and is looked up when it is listed.
    Held,
    Running,
    Suspended,
}

/// See the module.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Shelves {
    racks: BTreeMap<Arc<Group>, Rack>,
    built: Built,
}

/// Which executions are on the shelves.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Built {
    #[default]
    None,
    /// Those up to this id.
    UpTo(ExecutionId),
    All,
}

impl Shelf {
    fn of(execution: &Execution) -> Self {
        match execution.state() {
            State::Scheduled => Self::Scheduled,
            State::Ready if execution.paused || execution.waits_for_budget() => Self::Held,
            State::Ready => Self::Ready,
            State::Suspended => Self::Suspended,
            // An open execution has no other state.
            _ => Self::Running,
        }
    }

    /// Whether a filter wants what stands here, in a lane of this mode.
    fn is_wanted(self, filter: &Filter, mode: LaneMode) -> bool {
        let blocked = match self {
            Self::Held => true,
            Self::Ready => mode == LaneMode::Paused,
            Self::Scheduled | Self::Running | Self::Suspended => false,
        };
        let state = match self {
            Self::Scheduled => State::Scheduled,
            Self::Ready | Self::Held => State::Ready,
            Self::Running => State::Running,
            Self::Suspended => State::Suspended,
        };
        filter.state.is_none_or(|wanted: StateFilter| wanted.holds(state, blocked))
    }
}

const SHELVES: [Shelf; 5] = [Shelf::Scheduled, Shelf::Ready, Shelf::Held, Shelf::Running, Shelf::Suspended];

impl Shelves {
    /// Whether all open executions are on the shelves.
    pub(super) fn are_built(&self) -> bool {
        self.built == Built::All
    }

    /// After which id building goes on; `None` is from the start.
    pub(super) fn built_to(&self) -> Option<ExecutionId> {
        match self.built {
            Built::UpTo(id) => Some(id),
            Built::None | Built::All => None,
        }
    }

    /// Puts the next executions there, in the order of ids; `last` says that no other follows.
    pub(super) fn build<'a>(
        &mut self,
        next: impl Iterator<Item = &'a Execution>,
        last: impl FnOnce(usize) -> bool,
    ) {
        let mut count = 0;
        for execution in next {
            self.insert(execution);
            self.built = Built::UpTo(execution.id);
            count += 1;
        }
        if last(count) {
            self.built = Built::All;
        }
    }

    /// Follows one change of one execution.
    pub(super) fn put(&mut self, id: ExecutionId, before: Option<&Execution>, after: Option<&Execution>) {
        let covers = match self.built {
            Built::None => false,
            Built::UpTo(last) => id <= last,
            Built::All => true,
        };
        if !covers || before.map(place) == after.map(place) {
            return;
        }
        if let Some(before) = before {
            self.remove(before);
        }
        if let Some(after) = after {
            self.insert(after);
        }
    }

    fn insert(&mut self, execution: &Execution) {
        let rack = self.racks.entry(execution.group.clone()).or_default();
        if let Some(shelf) = rack.get_mut(Shelf::of(execution) as usize) {
            shelf.insert((execution.submitted_at, execution.id));
        }
    }

    fn remove(&mut self, execution: &Execution) {
        let Some(rack) = self.racks.get_mut(&*execution.group) else { return };
        if let Some(shelf) = rack.get_mut(Shelf::of(execution) as usize) {
            shelf.remove(&(execution.submitted_at, execution.id));
        }
        if rack.iter().all(BTreeSet::is_empty) {
            self.racks.remove(&*execution.group);
        }
    }

    /// The shelves that a filter wants; all that is on them in its span of time matches it, but for tags.
    pub(super) fn wanted(
        &self,
        filter: &Filter,
        mode: impl Fn(&Group) -> LaneMode,
    ) -> Vec<&BTreeSet<Position>> {
        let mut wanted = Vec::new();
        if !filter.wants_open() {
            return wanted;
        }
        let from = Group {
            namespace: filter.namespace.clone(),
            lane: filter.lane.clone().unwrap_or_default(),
            kind: Arc::default(),
            requires: Vec::new(),
        };
        let racks = self.racks.range::<Group, _>(from..).take_while(|(group, _)| {
            group.namespace == filter.namespace && filter.lane.as_ref().is_none_or(|lane| *lane == group.lane)
        });
        for (group, rack) in racks {
            if filter.kind.as_ref().is_some_and(|kind| *kind != group.kind) {
                continue;
            }
            let mode = mode(group);
            let shelves = SHELVES.iter().zip(rack);
            wanted.extend(shelves.filter_map(|(which, shelf)| {
                (!shelf.is_empty() && which.is_wanted(filter, mode)).then_some(shelf)
            }));
        }
        wanted
    }
}

/// What decides where an execution is put; its group never changes.
fn place(execution: &Execution) -> (u8, Position) {
    (Shelf::of(execution) as u8, (execution.submitted_at, execution.id))
}
