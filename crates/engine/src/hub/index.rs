//! Which ready work is known where, and which claims may take it.
//!
//! Groups and filters are numbered and linked once, when either is first seen; after that a claim looks only at the
//! groups it can serve that have ready work, and an offer only at the filters that can serve it. The backlog's size
//! never matters, nor do groups of other lanes, kinds or requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stint_core::command::ClaimFilter;
use stint_core::model::{Capabilities, Group};
use stint_core::{Millis, PARTITIONS, PartitionId, ReadyGroup};

use super::ClaimId;

/// Orders this close, in ms, count as equal, so that one claim fills from few partitions. A step of priority is 600,000.
pub const SLACK_MS: Millis = 1_000;

/// Groups without ready work are remembered up to this many.
const GROUPS_KEPT: usize = 10_000;

/// Filters without a claim are remembered up to this many.
const FILTERS_KEPT: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct GroupId(u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FilterId(u64);

/// A group's ready work in one partition, less what is reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    best: Millis,
    count: usize,
}

#[derive(Debug)]
struct GroupEntry {
    group: Arc<Group>,
    standing: BTreeMap<PartitionId, Standing>,
    by_order: BTreeSet<(Millis, PartitionId)>,
    filters: BTreeSet<FilterId>,
}

#[derive(Debug)]
struct FilterEntry {
    filter: Arc<ClaimFilter>,
    groups: BTreeSet<GroupId>,
    /// Those of `groups` that have ready work.
    active: BTreeSet<GroupId>,
    /// Claims that take more, oldest first.
    waiting: BTreeSet<ClaimId>,
    /// Claims that use this filter.
    claims: usize,
}

/// A namespace's lane.
type LaneName = (Arc<str>, Arc<str>);

#[derive(Default, Debug)]
struct Lane {
    groups: BTreeSet<GroupId>,
    filters: BTreeSet<FilterId>,
}

/// A filter's content, in an order.
type FilterKey = (Arc<str>, Vec<Arc<str>>, Vec<Arc<str>>, Capabilities);

/// Where a claim's next slots are best filled.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Choice {
    pub(super) partition: PartitionId,
    pub(super) until: Millis,
}

/// When to look for what can be forgotten: each time there is twice as much as the last sweep left, so that a sweep's
/// cost is shared by all that came since.
#[derive(Default, Debug)]
struct Sweeps {
    left: usize,
}

impl Sweeps {
    fn is_due(&self, count: usize, kept: usize) -> bool {
        count > kept.max(self.left.saturating_mul(2))
    }
}

#[derive(Default, Debug)]
pub(super) struct Index {
    groups: BTreeMap<GroupId, GroupEntry>,
    group_ids: BTreeMap<Arc<Group>, GroupId>,
    filters: BTreeMap<FilterId, FilterEntry>,
    filter_ids: BTreeMap<FilterKey, FilterId>,
    lanes: BTreeMap<LaneName, Lane>,
    group_sweeps: Sweeps,
    filter_sweeps: Sweeps,
    next: u64,
}

impl Index {
    /// The filter's number, for a claim that is to use it.
    pub(super) fn use_filter(&mut self, filter: &Arc<ClaimFilter>) -> FilterId {
        let key = (
            filter.namespace.clone(),
            filter.lanes.clone(),
            filter.kinds.clone(),
            filter.capabilities.clone(),
        );
        let id = match self.filter_ids.get(&key) {
            Some(id) => *id,
            None => self.add_filter(key, filter.clone()),
        };
        if let Some(entry) = self.filters.get_mut(&id) {
            entry.claims += 1;
        }
        id
    }

    /// A claim no longer uses it.
    pub(super) fn leave_filter(&mut self, id: FilterId) {
        if let Some(entry) = self.filters.get_mut(&id) {
            entry.claims -= 1;
        }
        if self.filter_sweeps.is_due(self.filters.len(), FILTERS_KEPT) {
            self.forget_filters();
            self.filter_sweeps.left = self.filters.len();
        }
    }

    /// Notes whether a claim takes more.
    pub(super) fn set_waiting(&mut self, id: FilterId, claim: ClaimId, waits: bool) {
        if let Some(entry) = self.filters.get_mut(&id) {
            match waits {
                true => entry.waiting.insert(claim),
                false => entry.waiting.remove(&claim),
            };
        }
    }

    /// Notes how a group stands in a partition.
    pub(super) fn set(
        &mut self,
        partition: PartitionId,
        group: &Arc<Group>,
        ready: Option<&ReadyGroup>,
    ) -> GroupId {
        let id = match self.group_ids.get(group) {
            Some(id) => *id,
            None => self.add_group(group.clone()),
        };
        let standing = ready.filter(|ready| ready.count > 0);
        self.stand(id, partition, standing.map(|ready| Standing { best: ready.best, count: ready.count }));
        id
    }

    /// Groups that have ready work in a partition.
    pub(super) fn groups_of(&self, partition: PartitionId) -> Vec<Arc<Group>> {
        let here = self.groups.values().filter(|entry| entry.standing.contains_key(&partition));
        here.map(|entry| entry.group.clone()).collect()
    }

    /// A group's number, if it is known.
    pub(super) fn group_id(&self, group: &Group) -> Option<GroupId> {
        self.group_ids.get(group).copied()
    }

    /// How much of a group is ready in a partition and not reserved.
    pub(super) fn count(&self, group: GroupId, partition: PartitionId) -> usize {
        self.groups.get(&group).and_then(|entry| entry.standing.get(&partition)).map_or(0, |s| s.count)
    }

    /// The claim that takes a group's next piece of work: the one whose worker offers most of what is preferred, and
    /// of those the oldest.
    pub(super) fn taker(&self, group: GroupId, score: impl Fn(&Capabilities) -> usize) -> Option<ClaimId> {
        let entry = self.groups.get(&group)?;
        let waiting = entry.filters.iter().filter_map(|id| self.filters.get(id));
        let first =
            waiting.filter_map(|f| f.waiting.first().map(|claim| (score(&f.filter.capabilities), *claim)));
        first.min_by_key(|(score, claim)| (std::cmp::Reverse(*score), *claim)).map(|(_, claim)| claim)
    }

    /// The partition to ask next: of those whose best work is within the slack of the best there is, the one with most
    /// of it; and how far it may go before another has better.
    pub(super) fn choose(&self, filter: FilterId) -> Option<Choice> {
        let filter = self.filters.get(&filter)?;
        let active = || filter.active.iter().filter_map(|id| self.groups.get(id));
        let best = active().filter_map(|g| g.by_order.first()).map(|(best, _)| *best).min()?;
        let slack = best.saturating_add(SLACK_MS);
        let mut counts = [0_usize; PARTITIONS as usize];
        for group in active() {
            for (order, partition) in &group.by_order {
                if *order > slack {
                    break;
                }
                if let Some(count) = counts.get_mut(usize::from(partition.0)) {
                    *count += group.standing.get(partition).map_or(0, |s| s.count);
                }
            }
        }
        let (partition, _) =
            PartitionId::all().zip(counts).max_by_key(|(id, count)| (*count, std::cmp::Reverse(*id)))?;
        let elsewhere = active().filter_map(|g| g.by_order.iter().find(|(_, at)| *at != partition));
        let until = elsewhere.map(|(best, _)| best.saturating_add(SLACK_MS)).min().unwrap_or(Millis::MAX);
        Some(Choice { partition, until })
    }

    /// Takes up to `max` pieces of work of this order or better out of a partition, for a claim with this filter, and
    /// says how many and of which groups.
    pub(super) fn take(
        &mut self,
        filter: FilterId,
        partition: PartitionId,
        until: Millis,
        max: usize,
    ) -> (usize, Vec<Arc<Group>>) {
        let Some(entry) = self.filters.get(&filter) else { return (0, Vec::new()) };
        let mut here: Vec<(Millis, GroupId)> = entry
            .active
            .iter()
            .filter_map(|id| Some((self.groups.get(id)?.standing.get(&partition)?.best, *id)))
            .filter(|(best, _)| *best <= until)
            .collect();
        here.sort_unstable();
        let (mut taken, mut groups) = (0, Vec::new());
        for (_, id) in here {
            if taken == max {
                break;
            }
            taken += self.take_from(id, partition, max - taken);
            groups.extend(self.groups.get(&id).map(|entry| entry.group.clone()));
        }
        (taken, groups)
    }

    /// Takes up to `max` pieces of a group's work out of a partition, and says how many.
    pub(super) fn take_from(&mut self, id: GroupId, partition: PartitionId, max: usize) -> usize {
        let Some(standing) = self.groups.get(&id).and_then(|entry| entry.standing.get(&partition)).copied()
        else {
            return 0;
        };
        let taken = standing.count.min(max);
        let left = standing.count - taken;
        self.stand(id, partition, (left > 0).then_some(Standing { best: standing.best, count: left }));
        taken
    }

    pub(super) fn group(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(&id).map(|entry| &entry.group)
    }

    /// How many groups with ready work a filter matches.
    #[cfg(test)]
    pub(super) fn active(&self, filter: FilterId) -> usize {
        self.filters.get(&filter).map_or(0, |entry| entry.active.len())
    }

    fn stand(&mut self, id: GroupId, partition: PartitionId, standing: Option<Standing>) {
        let Some(entry) = self.groups.get_mut(&id) else { return };
        let had_work = !entry.by_order.is_empty();
        let before = match standing {
            Some(standing) => entry.standing.insert(partition, standing),
            None => entry.standing.remove(&partition),
        };
        if before.map(|s| s.best) != standing.map(|s| s.best) {
            if let Some(before) = before {
                entry.by_order.remove(&(before.best, partition));
            }
            if let Some(standing) = standing {
                entry.by_order.insert((standing.best, partition));
            }
        }
        let has_work = !entry.by_order.is_empty();
        if had_work != has_work {
            for filter in &entry.filters {
                if let Some(filter) = self.filters.get_mut(filter) {
                    match has_work {
                        true => filter.active.insert(id),
                        false => filter.active.remove(&id),
                    };
                }
            }
        }
    }

    fn add_group(&mut self, group: Arc<Group>) -> GroupId {
        if self.group_sweeps.is_due(self.groups.len(), GROUPS_KEPT) {
            self.forget_groups();
            self.group_sweeps.left = self.groups.len();
        }
        let id = GroupId(self.number());
        let lane = self.lanes.entry((group.namespace.clone(), group.lane.clone())).or_default();
        lane.groups.insert(id);
        let mut filters = BTreeSet::new();
        for filter_id in &lane.filters {
            if let Some(entry) = self.filters.get_mut(filter_id)
                && entry.filter.matches(&group)
            {
                entry.groups.insert(id);
                filters.insert(*filter_id);
            }
        }
        self.group_ids.insert(group.clone(), id);
        self.groups
            .insert(id, GroupEntry { group, standing: BTreeMap::new(), by_order: BTreeSet::new(), filters });
        id
    }

    fn add_filter(&mut self, key: FilterKey, filter: Arc<ClaimFilter>) -> FilterId {
        let id = FilterId(self.number());
        let (mut groups, mut active) = (BTreeSet::new(), BTreeSet::new());
        for name in &filter.lanes {
            let lane = self.lanes.entry((filter.namespace.clone(), name.clone())).or_default();
            lane.filters.insert(id);
            for group_id in &lane.groups {
                if let Some(entry) = self.groups.get_mut(group_id)
                    && filter.matches(&entry.group)
                {
                    entry.filters.insert(id);
                    groups.insert(*group_id);
                    if !entry.by_order.is_empty() {
                        active.insert(*group_id);
                    }
                }
            }
        }
        self.filter_ids.insert(key, id);
        let entry = FilterEntry { filter, groups, active, waiting: BTreeSet::new(), claims: 0 };
        self.filters.insert(id, entry);
        id
    }

    fn forget_groups(&mut self) {
        let empty: Vec<GroupId> =
            self.groups.iter().filter(|(_, entry)| entry.standing.is_empty()).map(|(id, _)| *id).collect();
        for id in empty {
            let Some(entry) = self.groups.remove(&id) else { continue };
            self.group_ids.remove(&entry.group);
            for filter in &entry.filters {
                if let Some(filter) = self.filters.get_mut(filter) {
                    filter.groups.remove(&id);
                }
            }
            let name = (entry.group.namespace.clone(), entry.group.lane.clone());
            self.leave_lane(&name, |lane| _ = lane.groups.remove(&id));
        }
    }

    fn forget_filters(&mut self) {
        let unused: Vec<FilterId> =
            self.filters.iter().filter(|(_, entry)| entry.claims == 0).map(|(id, _)| *id).collect();
        self.filter_ids.retain(|_, id| unused.binary_search(id).is_err());
        for id in unused {
            let Some(entry) = self.filters.remove(&id) else { continue };
            for group in &entry.groups {
                if let Some(group) = self.groups.get_mut(group) {
                    group.filters.remove(&id);
                }
            }
            for lane in &entry.filter.lanes {
                let name = (entry.filter.namespace.clone(), lane.clone());
                self.leave_lane(&name, |lane| _ = lane.filters.remove(&id));
            }
        }
    }

    fn leave_lane(&mut self, name: &LaneName, leave: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.lanes.get_mut(name) {
            leave(lane);
            if lane.groups.is_empty() && lane.filters.is_empty() {
                self.lanes.remove(name);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_all_have_work_are_not_swept_for_each_new_one() {
        let mut index = Index::default();
        let mut sweeps = 0;
        for n in 0..5 * GROUPS_KEPT {
            let group = Arc::new(Group {
                namespace: "default".into(),
                lane: "default".into(),
                kind: n.to_string().into(),
                requires: Vec::new(),
            });
            let ready = ReadyGroup { group: group.clone(), best: 0, count: 1 };
            let left = index.group_sweeps.left;
            index.set(PartitionId(0), &group, Some(&ready));
            sweeps += usize::from(index.group_sweeps.left != left);
        }
        assert_eq!((index.groups.len(), sweeps), (5 * GROUPS_KEPT, 3));
    }
}
