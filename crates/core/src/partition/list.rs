//! Listing and counting open executions.

use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::Partition;
use super::shelves::Shelves;
use crate::find::{Filter, Position, Summary};
use crate::ids::ExecutionId;
use crate::model::{Group, LaneMode};

impl Partition {
    /// Goes on building what lists need, by at most so many executions, and says whether it is complete.
    pub fn shelve(&mut self, most: usize) -> bool {
        let shelves = self.shelves.get_or_insert_default();
        if !shelves.are_built() {
            let after = shelves.built_to().map_or(Unbounded, Excluded);
            let next =
                self.executions.range((after, Unbounded)).take(most).map(|(_, execution)| &**execution);
            shelves.build(next, |count| count < most);
        }
        shelves.are_built()
    }

    /// Forgets what only lists need.
    pub fn unshelve(&mut self) {
        self.shelves = None;
    }

    /// Open executions that a filter wants, newest submission first, from before a place on. Tags are cold and not looked
    /// at. `None` before [`Partition::shelve`] has completed.
    pub fn list(&self, filter: &Filter, before: Option<Position>, most: usize) -> Option<Vec<Summary>> {
        let places = merge(&self.wanted(filter)?, filter, before, most);
        let found = places.into_iter().filter_map(|(_, id)| self.summary(id));
        Some(found.collect())
    }

    /// How many open executions a filter wants, counted no further than `most`. Tags are cold and not looked at. `None`
    /// before [`Partition::shelve`] has completed.
    pub fn count(&self, filter: &Filter, most: u64) -> Option<u64> {
        let shelves = self.wanted(filter)?;
        if filter.since.is_none() && filter.until.is_none() {
            return Some(shelves.iter().map(|shelf| shelf.len() as u64).sum::<u64>().min(most));
        }
        let mut count = 0;
        for shelf in shelves {
            let left = usize::try_from(most - count).unwrap_or(usize::MAX);
            count += span(shelf, filter, None).take(left).count() as u64;
        }
        Some(count)
    }

    /// What a list shows of an open execution.
    pub fn summary(&self, id: ExecutionId) -> Option<Summary> {
        let execution = self.execution(id)?;
        Some(Summary::of(execution, self.mode_of(&execution.group)))
    }

    fn wanted(&self, filter: &Filter) -> Option<Vec<&BTreeSet<Position>>> {
        let shelves = self.shelves.as_deref().filter(|shelves| shelves.are_built())?;
        Some(shelves.wanted(filter, |group| self.mode_of(group)))
    }

    fn mode_of(&self, group: &Group) -> LaneMode {
        self.lane(&group.namespace, &group.lane).mode
    }

    /// Whether the shelves are the same, where both have them.
    pub(super) fn shelves_agree(&self, other: &Self) -> bool {
        let built = |partition: &'_ Self| partition.shelves.as_deref().is_some_and(Shelves::are_built);
        !built(self) || !built(other) || self.shelves == other.shelves
    }
}

/// The first places of several shelves, newest first.
fn merge(
    shelves: &[&BTreeSet<Position>],
    filter: &Filter,
    before: Option<Position>,
    most: usize,
) -> Vec<Position> {
    let mut rests: Vec<_> = shelves.iter().map(|shelf| span(shelf, filter, before)).collect();
    let firsts = rests.iter_mut().enumerate().filter_map(|(at, rest)| Some((*rest.next()?, at)));
    let mut heads: BinaryHeap<(Position, usize)> = firsts.collect();
    let mut places = Vec::new();
    while places.len() < most
        && let Some((place, at)) = heads.pop()
    {
        places.push(place);
        heads.extend(rests.get_mut(at).and_then(Iterator::next).map(|next| (*next, at)));
    }
    places
}

/// What is on a shelf in the filter's span of time, newest first.
fn span<'a>(
    shelf: &'a BTreeSet<Position>,
    filter: &Filter,
    before: Option<Position>,
) -> impl Iterator<Item = &'a Position> {
    let wanted = filter.span();
    let first = ExecutionId([0; 16]);
    let end = (wanted.end, first).min(before.unwrap_or((wanted.end, first)));
    let start = (wanted.start, first);
    // An empty span is no range: a set would panic at one that ends before it starts.
    (start < end).then(|| shelf.range((Included(start), Excluded(end))).rev()).into_iter().flatten()
}
