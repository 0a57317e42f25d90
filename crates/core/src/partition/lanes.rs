//! Lanes that have open executions or settings: their groups, how much waits in them, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::ready::{Ready, ReadyGroup, Work};
use crate::ids::ExecutionId;
use crate::model::{Execution, Group, LaneMode, LaneSettings, State};

/// By namespace, then by name: looked up without allocating.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Lanes(BTreeMap<Arc<str>, BTreeMap<Arc<str>, Lane>>);

/// One lane in this partition.
#[derive(Default, PartialEq, Eq, Debug)]
struct Lane {
    /// A copy of the settings' record.
    settings: Option<Box<LaneSettings>>,
    /// Executions that are scheduled or ready.
    waiting: u64,
    groups: BTreeMap<Arc<Group>, Work>,
    /// Turns taken (start tags) by fairness key: those of work that is ready or running.
    tags: BTreeMap<Arc<str>, BTreeSet<(i64, ExecutionId)>>,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.settings.is_none() && self.groups.is_empty()
    }

    fn starts(&self) -> bool {
        self.settings.as_deref().is_none_or(|settings| settings.mode != LaneMode::Paused)
    }
}

impl Lanes {
    fn get(&self, namespace: &str, lane: &str) -> Option<&Lane> {
        self.0.get(namespace)?.get(lane)
    }

    fn get_or_insert(&mut self, namespace: &Arc<str>, lane: &Arc<str>) -> &mut Lane {
        self.0.entry(namespace.clone()).or_default().entry(lane.clone()).or_default()
    }

    fn drop_if_empty(&mut self, namespace: &str, lane: &str) {
        let Some(lanes) = self.0.get_mut(namespace) else { return };
        if lanes.get(lane).is_some_and(Lane::is_empty) {
            lanes.remove(lane);
            if lanes.is_empty() {
                self.0.remove(namespace);
            }
        }
    }

    /// Adds an open execution, and lets it share what equal ones already hold in memory.
    pub(super) fn insert(&mut self, execution: &mut Execution) {
        let id = execution.id;
        let lane = self.get_or_insert(&execution.group.namespace, &execution.group.lane);
        lane.waiting += u64::from(is_waiting(execution));
        let has_turn = execution.state() != State::Scheduled;
        if let Some(fair) = &mut execution.fair {
            if let Some((shared, _)) = lane.tags.get_key_value(&fair.key) {
                fair.key = shared.clone();
            }
            if has_turn {
                lane.tags.entry(fair.key.clone()).or_default().insert((fair.tag, id));
            }
        }
        if let Some((shared, _)) = lane.groups.get_key_value(&*execution.group) {
            execution.group = shared.clone();
        }
        let work = lane.groups.entry(execution.group.clone()).or_default();
        work.open += 1;
        if is_ready(execution) {
            work.ready.insert(execution);
        }
    }

    /// Takes an execution out, and says whether its group has no other: then [`Lanes::tidy`] is due, unless it is put
    /// back at once.
    pub(super) fn remove(&mut self, execution: &Execution) -> bool {
        let (namespace, name) = (&execution.group.namespace, &execution.group.lane);
        let Some(lane) = self.0.get_mut(namespace).and_then(|lanes| lanes.get_mut(name)) else {
            return false;
        };
        lane.waiting -= u64::from(is_waiting(execution));
        if let Some(fair) = &execution.fair
            && let Some(tags) = lane.tags.get_mut(&fair.key)
        {
            tags.remove(&(fair.tag, execution.id));
            if tags.is_empty() {
                lane.tags.remove(&fair.key);
            }
        }
        let Some(work) = lane.groups.get_mut(&*execution.group) else { return false };
        work.open -= 1;
        if is_ready(execution) {
            work.ready.remove(execution);
        }
        work.open == 0
    }

    /// Forgets a group without open executions, and its lane with its last.
    pub(super) fn tidy(&mut self, group: &Group) {
        let lane = self.0.get_mut(&group.namespace).and_then(|lanes| lanes.get_mut(&group.lane));
        if let Some(lane) = lane
            && lane.groups.get(group).is_some_and(|work| work.open == 0)
        {
            lane.groups.remove(group);
            self.drop_if_empty(&group.namespace, &group.lane);
        }
    }

    /// Follows the record of a lane's settings.
    pub(super) fn set(&mut self, namespace: &str, lane: &str, settings: Option<&LaneSettings>) {
        self.get_or_insert(&namespace.into(), &lane.into()).settings = settings.cloned().map(Box::new);
        self.drop_if_empty(namespace, lane);
    }

    /// How many of a lane's executions are open, and how many of those are ready.
    pub(super) fn counts(&self, namespace: &str, lane: &str) -> (u64, u64) {
        let works = self.get(namespace, lane).into_iter().flat_map(|lane| lane.groups.values());
        works.fold((0, 0), |(open, ready), work| (open + work.open as u64, ready + work.ready.len() as u64))
    }

    /// A namespace's lanes by name, those behind `after`.
    pub(super) fn names(&self, namespace: &str, after: Option<&str>) -> impl Iterator<Item = &Arc<str>> {
        let behind = after.map_or(Unbounded, Excluded);
        let lanes = self.0.get(namespace);
        lanes
            .into_iter()
            .flat_map(move |lanes| lanes.range::<str, _>((behind, Unbounded)).map(|(name, _)| name))
    }

    /// Every lane with open executions, and the best ready one of each of its groups.
    pub(super) fn all(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, impl Iterator<Item = ExecutionId>)> {
        let lanes = self
            .0
            .iter()
            .flat_map(|(namespace, lanes)| lanes.iter().map(move |(name, lane)| (namespace, name, lane)));
        lanes.filter(|(_, _, lane)| !lane.groups.is_empty()).map(|(namespace, name, lane)| {
            let best = lane.groups.values().filter_map(|work| work.ready.iter().next());
            (namespace, name, best.map(|(_, id)| id))
        })
    }

    pub(super) fn settings(&self, namespace: &str, lane: &str) -> Option<&LaneSettings> {
        self.get(namespace, lane)?.settings.as_deref()
    }

    pub(super) fn waiting(&self, namespace: &str, lane: &str) -> u64 {
        self.get(namespace, lane).map_or(0, |lane| lane.waiting)
    }

    /// Lanes that hold waiting work, with how much.
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(namespace, lanes)| {
            let waiting = lanes.iter().filter(|(_, lane)| lane.waiting > 0);
            waiting.map(|(name, lane)| (&**namespace, &**name, lane.waiting))
        })
    }

    /// The last tag of a fairness key.
    pub(super) fn last_tag(&self, group: &Group, fairness_key: &str) -> Option<i64> {
        let tags = self.get(&group.namespace, &group.lane)?.tags.get(fairness_key)?;
        tags.last().map(|(tag, _)| *tag)
    }

    /// The group equal to `group` that open executions already share.
    pub(super) fn shared(&self, group: &Group) -> Option<&Arc<Group>> {
        self.get(&group.namespace, &group.lane)?.groups.get_key_value(group).map(|(shared, _)| shared)
    }

    /// Different groups with open executions.
    pub(super) fn groups(&self, namespace: &str, lane: &str) -> usize {
        self.get(namespace, lane).map_or(0, |lane| lane.groups.len())
    }

    /// All groups of a lane with their ready work, whether or not the lane starts it.
    pub(super) fn in_lane(&self, namespace: &str, lane: &str) -> impl Iterator<Item = (&Arc<Group>, &Ready)> {
        let groups = self.get(namespace, lane).into_iter().flat_map(|lane| &lane.groups);
        groups.map(|(group, work)| (group, &work.ready))
    }

    /// The same; nothing if the lane is paused.
    pub(super) fn startable(
        &self,
        namespace: &str,
        lane: &str,
    ) -> impl Iterator<Item = (&Arc<Group>, &Ready)> {
        let lane = self.get(namespace, lane).filter(|lane| lane.starts());
        lane.into_iter().flat_map(|lane| &lane.groups).map(|(group, work)| (group, &work.ready))
    }

    /// Groups of all lanes with work that has asked for its permits and has not got all.
    pub(super) fn asking(&self) -> impl Iterator<Item = &Arc<Group>> {
        let groups = self.0.values().flat_map(|lanes| lanes.values()).flat_map(|lane| &lane.groups);
        groups.filter(|(_, work)| work.ready.asked().next().is_some()).map(|(group, _)| group)
    }

    /// One group's ready work.
    pub(super) fn ready(&self, group: &Group) -> Option<&Ready> {
        self.get(&group.namespace, &group.lane)?.groups.get(group).map(|work| &work.ready)
    }

    /// What one group has to offer; nothing if its lane is paused.
    pub(super) fn offer(&self, group: &Group) -> Option<ReadyGroup> {
        let lane = self.get(&group.namespace, &group.lane).filter(|lane| lane.starts())?;
        lane.groups.get_key_value(group).and_then(|(group, work)| work.ready.offer(group))
    }

    /// What all groups have to offer; paused lanes are left out.
    pub(super) fn offers(&self) -> impl Iterator<Item = ReadyGroup> {
        let lanes = self.0.values().flat_map(BTreeMap::values).filter(|lane| lane.starts());
        lanes.flat_map(|lane| &lane.groups).filter_map(|(group, work)| work.ready.offer(group))
    }
}

fn is_ready(execution: &Execution) -> bool {
    execution.is_ready()
}

fn is_waiting(execution: &Execution) -> bool {
    matches!(execution.state(), State::Scheduled | State::Ready | State::Suspended)
}
