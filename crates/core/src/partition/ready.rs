//! Ready work of one group, best first.
//!
//! Work that names budgets stands in one line per set of budgets until it has its permits. Of such a line some may ask at the
//! same time, the first ones; once one of them waits for money nobody asks but who is better than all that wait: so a long
//! line asks for as much as claims take, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::Millis;
use crate::ids::ExecutionId;
use crate::model::{Execution, Group, Spending};

/// Executions of one line that may ask at the same time: when the money is gone, so many of it wait in its queue at most, but
/// for better ones.
const ASKING_MAX: usize = 16;

/// A group's ready work in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyGroup {
    /// The group.
    pub group: Arc<Group>,
    /// The order of its best execution, in ms; lower is better.
    pub best: Millis,
    /// How many are ready.
    pub count: usize,
}

/// A group as long as it has open executions.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Work {
    /// Open executions, whatever their state.
    pub(super) open: usize,
    /// Those that are ready.
    pub(super) ready: Ready,
}

/// A place among ready work.
type Place = (Millis, ExecutionId);

/// Ready executions by order.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Ready {
    /// May start as they stand.
    admitted: BTreeSet<Place>,
    /// Need permits first, by the budgets that they name.
    lines: BTreeMap<u64, Line>,
    /// The first of each line that may ask now.
    heads: BTreeSet<Place>,
    /// How many may ask now, of all lines.
    may_ask: usize,
    /// In all lines.
    in_lines: usize,
}

/// Executions that name the same budgets.
#[derive(Default, PartialEq, Eq, Debug)]
struct Line {
    /// Have not asked.
    wanting: BTreeSet<Place>,
    /// Wait for an answer.
    asking: BTreeSet<Place>,
    /// Wait for money.
    waiting: BTreeSet<Place>,
}

impl Line {
    /// How many may ask now: those at the head.
    fn may_ask(&self) -> usize {
        match (self.wanting.first(), self.waiting.first()) {
            (Some((best, _)), Some((waiting, _))) => usize::from(best < waiting),
            (Some(_), None) => ASKING_MAX.saturating_sub(self.asking.len()).min(self.wanting.len()),
            (None, _) => 0,
        }
    }

    /// The first that may.
    fn head(&self) -> Option<Place> {
        if self.may_ask() > 0 { self.wanting.first().copied() } else { None }
    }

    /// Where an execution stands in it; admitted ones do not any more.
    fn of(&mut self, execution: &Execution) -> Option<&mut BTreeSet<Place>> {
        if !execution.is_pending() {
            return Some(&mut self.wanting);
        }
        if execution.is_admitted() {
            return None;
        }
        let waits = execution.spending.as_deref().is_some_and(Spending::waits);
        Some(if waits { &mut self.waiting } else { &mut self.asking })
    }

    fn is_empty(&self) -> bool {
        self.wanting.is_empty() && self.asking.is_empty() && self.waiting.is_empty()
    }
}

/// Which line an execution stands in: the same for all that name the same budgets.
pub(super) fn line(execution: &Execution) -> u64 {
    let mut names = String::new();
    for used in &execution.policy.budgets {
        names.push_str(&used.path);
        names.push('\0');
    }
    xxh3_64(names.as_bytes())
}

impl Ready {
    /// What has asked for its permits and has not got all.
    pub(crate) fn asked(&self) -> impl Iterator<Item = ExecutionId> {
        let lines = self.lines.values().flat_map(|line| line.asking.iter().chain(&line.waiting));
        lines.map(|(_, id)| *id)
    }

    pub(super) fn insert(&mut self, execution: &Execution) {
        let place = (execution.order, execution.id);
        if execution.is_admitted() {
            self.admitted.insert(place);
        }
        if execution.policy.budgets.is_empty() {
            return;
        }
        self.in_lines += usize::from(!execution.is_admitted());
        self.change(line(execution), |line| {
            if let Some(set) = line.of(execution) {
                set.insert(place);
            }
        });
    }

    pub(super) fn remove(&mut self, execution: &Execution) {
        let place = (execution.order, execution.id);
        if execution.is_admitted() {
            self.admitted.remove(&place);
        }
        if execution.policy.budgets.is_empty() {
            return;
        }
        self.in_lines -= usize::from(!execution.is_admitted());
        self.change(line(execution), |line| {
            if let Some(set) = line.of(execution) {
                set.remove(&place);
            }
        });
    }

    fn change(&mut self, key: u64, change: impl FnOnce(&mut Line)) {
        let line = self.lines.entry(key).or_default();
        let (before, could_ask) = (line.head(), line.may_ask());
        change(line);
        let after = line.head();
        self.may_ask = self.may_ask + line.may_ask() - could_ask;
        if line.is_empty() {
            self.lines.remove(&key);
        }
        if before != after {
            before.map(|place| self.heads.remove(&place));
            after.map(|place| self.heads.insert(place));
        }
    }

    /// How many, those included that wait for permits.
    pub(super) fn len(&self) -> usize {
        self.admitted.len() + self.in_lines
    }

    /// Those that may be claimed, best first: to start, or to ask for their permits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Place> {
        let mut admitted = self.admitted.iter().peekable();
        let mut heads = self.heads.iter().peekable();
        std::iter::from_fn(move || match (admitted.peek(), heads.peek()) {
            (Some(first), Some(second)) if second < first => heads.next(),
            (Some(_), _) => admitted.next(),
            (None, _) => heads.next(),
        })
        .copied()
    }

    /// Those behind the head of an execution's line that may ask with it, best first.
    pub(crate) fn behind(&self, execution: &Execution) -> impl Iterator<Item = ExecutionId> {
        let place = (execution.order, execution.id);
        let line = self.lines.get(&line(execution));
        let behind = line.into_iter().flat_map(move |line| {
            let others = line.wanting.range((std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded));
            others.take(line.may_ask().saturating_sub(1))
        });
        behind.map(|(_, id)| *id)
    }

    /// The best of its line that asks or waits, if one is at least as good as it.
    pub(crate) fn before_it(&self, execution: &Execution) -> Option<ExecutionId> {
        let line = self.lines.get(&line(execution))?;
        let (order, id) = line.asking.first().into_iter().chain(line.waiting.first()).min()?;
        (*order <= execution.order).then_some(*id)
    }

    /// How many of a line have not asked and come before this place; counts no further than `most`.
    pub(crate) fn wanting_before(&self, line: u64, place: (Millis, ExecutionId), most: usize) -> usize {
        let line = self.lines.get(&line);
        line.map_or(0, |line| line.wanting.range(..place).take(most).count())
    }

    /// How many come before this place; counts no further than `most`.
    pub(crate) fn ahead_of(&self, order: Millis, id: ExecutionId, most: usize) -> usize {
        let admitted = self.admitted.range(..(order, id)).take(most).count();
        let lines = self.lines.values().flat_map(|line| line.wanting.range(..(order, id)));
        admitted + lines.take(most.saturating_sub(admitted)).count()
    }

    /// What there is to offer to claims; `None` if nothing.
    pub(super) fn offer(&self, group: &Arc<Group>) -> Option<ReadyGroup> {
        let (best, _) = match (self.admitted.first(), self.heads.first()) {
            (Some(first), Some(second)) => first.min(second),
            (first, second) => first.or(second)?,
        };
        let count = self.admitted.len() + self.may_ask;
        Some(ReadyGroup { group: group.clone(), best: *best, count })
    }
}
