//! Ready work by group, best first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::Millis;
use crate::ids::ExecutionId;
use crate::model::Group;

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

#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Ready(BTreeMap<Arc<Group>, BTreeSet<(Millis, ExecutionId)>>);

impl Ready {
    pub(super) fn insert(&mut self, group: &Arc<Group>, order: Millis, id: ExecutionId) {
        match self.0.get_mut(group) {
            Some(queue) => _ = queue.insert((order, id)),
            None => _ = self.0.insert(group.clone(), BTreeSet::from([(order, id)])),
        }
    }

    pub(super) fn remove(&mut self, group: &Arc<Group>, order: Millis, id: ExecutionId) {
        if let Some(queue) = self.0.get_mut(group) {
            queue.remove(&(order, id));
            if queue.is_empty() {
                self.0.remove(group);
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = ReadyGroup> {
        self.0.iter().filter_map(|(group, queue)| offer(group, queue))
    }

    pub(super) fn one(&self, group: &Arc<Group>) -> Option<ReadyGroup> {
        self.0.get_key_value(group).and_then(|(group, queue)| offer(group, queue))
    }

    /// How many of the group come before this place.
    pub(crate) fn ahead_of(&self, group: &Arc<Group>, order: Millis, id: ExecutionId) -> usize {
        self.0.get(group).map_or(0, |queue| queue.range(..(order, id)).count())
    }

    /// Groups of one lane, with their queues.
    pub(crate) fn in_lane(
        &self,
        namespace: &str,
        lane: &str,
    ) -> impl Iterator<Item = (&Arc<Group>, &BTreeSet<(Millis, ExecutionId)>)> {
        let first =
            Group { namespace: namespace.into(), lane: lane.into(), kind: "".into(), requires: Vec::new() };
        let (namespace, lane) = (first.namespace.clone(), first.lane.clone());
        self.0
            .range::<Group, _>((Bound::Included(&first), Bound::Unbounded))
            .take_while(move |(group, _)| group.namespace == namespace && group.lane == lane)
    }
}

fn offer(group: &Arc<Group>, queue: &BTreeSet<(Millis, ExecutionId)>) -> Option<ReadyGroup> {
    let (best, _) = queue.first()?;
    Some(ReadyGroup { group: group.clone(), best: *best, count: queue.len() })
}
