//! Budgets that live here: what is held under each level, who waits there, and what the clock has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

use crate::Millis;
use crate::ids::PartitionId;
use crate::model::{Amounts, Ask, BudgetState, Counters, Hold, HoldKey, PermitKey, is_under, levels, tree};

/// By namespace and path, separated by a byte that can stand in neither.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Budgets {
    levels: BTreeMap<Arc<str>, Level>,
    /// Who waits at a path itself, in order; nobody where there is none.
    queues: BTreeMap<Arc<str>, BTreeSet<Place>>,
    /// The first of each queue, by tree.
    heads: BTreeMap<Arc<str>, BTreeSet<(Place, Arc<str>)>>,
    due: BTreeSet<(Millis, Due)>,
    /// How many budgets are in each state, in the order of these.
    states: [usize; 4],
}

/// A place in a queue.
type Place = (Millis, PermitKey);

/// One level of a path: held, waited for or counted at.
#[derive(Default, PartialEq, Eq, Debug)]
struct Level {
    /// Held at it and below, by dimension. Wider than an amount, since no limit may bound the sum.
    held: BTreeMap<Arc<str>, u128>,
    /// Holds at it and below.
    holds: BTreeSet<HoldKey>,
    /// How many of them are attempts', by their partition, and not in doubt.
    open: BTreeMap<PartitionId, usize>,
    /// How many wait at it and below.
    waiting_below: usize,
    /// When something that it counted stops counting.
    next_end: Option<Millis>,
    /// When something that is left of a top-up goes.
    next_expiry: Option<Millis>,
    /// It is breached, or overcommitted.
    is_over: bool,
    /// What a period leaves is added to the next.
    carries: bool,
}

/// What the clock has to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// A hold expires, or its time in doubt is over.
    Hold(HoldKey),
    /// A period of a budget ends that somebody waits for, or a top-up: namespace and path.
    Level(String, String),
}

impl Level {
    fn is_empty(&self) -> bool {
        self.holds.is_empty()
            && self.waiting_below == 0
            && self.next_end.is_none()
            && self.next_expiry.is_none()
            && !self.is_over
            && !self.carries
    }

    /// A period's end matters only to those who wait, to a breach, and to the next one where something is carried over; without a
    /// top-up a limit is lower.
    fn due(&self) -> Option<Millis> {
        let next_end = self.next_end.filter(|_| self.waiting_below > 0 || self.is_over || self.carries);
        next_end.into_iter().chain(self.next_expiry).min()
    }
}

fn name(namespace: &str, path: &str) -> String {
    format!("{namespace}\0{path}")
}

fn split(name: &str) -> Due {
    let (namespace, path) = name.split_once('\0').unwrap_or_default();
    Due::Level(namespace.to_owned(), path.to_owned())
}

impl Budgets {
    fn get(&self, namespace: &str, path: &str) -> Option<&Level> {
        self.levels.get(name(namespace, path).as_str())
    }

    /// Changes a level and keeps its timer; an empty one is forgotten.
    fn change(&mut self, namespace: &str, path: &str, change: impl FnOnce(&mut Level)) {
        let name = name(namespace, path);
        if !self.levels.contains_key(name.as_str()) {
            self.levels.insert(name.as_str().into(), Level::default());
        }
        let Some(level) = self.levels.get_mut(name.as_str()) else { return };
        let before = level.due();
        change(level);
        let after = level.due();
        let is_empty = level.is_empty();
        if before != after {
            if let Some(at) = before {
                self.due.remove(&(at, split(&name)));
            }
            if let Some(at) = after {
                self.due.insert((at, split(&name)));
            }
        }
        if is_empty {
            self.levels.remove(name.as_str());
        }
    }

    pub(super) fn add_hold(&mut self, key: HoldKey, hold: &Hold) {
        if let Some(at) = hold.until {
            self.due.insert((at, Due::Hold(key)));
        }
        for path in levels(&hold.path) {
            self.change(&hold.namespace, path, |level| {
                for (dimension, amount) in hold.held.iter() {
                    match level.held.get_mut(dimension) {
                        Some(held) => *held += u128::from(amount),
                        None => _ = level.held.insert(dimension.into(), u128::from(amount)),
                    }
                }
                level.holds.insert(key);
                if let Some(partition) = key.partition().filter(|_| !hold.in_doubt()) {
                    *level.open.entry(partition).or_default() += 1;
                }
            });
        }
    }

    pub(super) fn remove_hold(&mut self, key: HoldKey, hold: &Hold) {
        if let Some(at) = hold.until {
            self.due.remove(&(at, Due::Hold(key)));
        }
        for path in levels(&hold.path) {
            self.change(&hold.namespace, path, |level| {
                for (dimension, amount) in hold.held.iter() {
                    if let Some(held) = level.held.get_mut(dimension) {
                        *held = held.saturating_sub(u128::from(amount));
                    }
                }
                level.held.retain(|_, held| *held > 0);
                level.holds.remove(&key);
                if let Some(partition) = key.partition().filter(|_| !hold.in_doubt())
                    && let Some(open) = level.open.get_mut(&partition)
                {
                    *open = open.saturating_sub(1);
                    if *open == 0 {
                        level.open.remove(&partition);
                    }
                }
            });
        }
    }

    pub(super) fn add_waiter(&mut self, key: PermitKey, ask: &Ask) {
        for path in levels(&ask.path) {
            self.change(&ask.namespace, path, |level| level.waiting_below += 1);
        }
        self.change_queue(ask, |queue| _ = queue.insert((ask.order, key)));
    }

    pub(super) fn remove_waiter(&mut self, key: PermitKey, ask: &Ask) {
        for path in levels(&ask.path) {
            self.change(&ask.namespace, path, |level| {
                level.waiting_below = level.waiting_below.saturating_sub(1);
            });
        }
        self.change_queue(ask, |queue| _ = queue.remove(&(ask.order, key)));
    }

    /// Changes the queue at an ask's path and keeps its head; an empty one is forgotten.
    fn change_queue(&mut self, ask: &Ask, change: impl FnOnce(&mut BTreeSet<Place>)) {
        let name = name(&ask.namespace, &ask.path);
        let shared = self.queues.get_key_value(name.as_str()).map(|(name, _)| name.clone());
        let name = shared.unwrap_or_else(|| name.into());
        let queue = self.queues.entry(name.clone()).or_default();
        let before = queue.first().copied();
        change(queue);
        let after = queue.first().copied();
        if after.is_none() {
            self.queues.remove(&name);
        }
        if before == after {
            return;
        }
        let tree = self::name(&ask.namespace, tree(&ask.path));
        let heads = self.heads.entry(tree.as_str().into()).or_default();
        before.map(|place| heads.remove(&(place, name.clone())));
        after.map(|place| heads.insert((place, name)));
        if heads.is_empty() {
            self.heads.remove(tree.as_str());
        }
    }

    pub(super) fn set_counters(&mut self, namespace: &str, path: &str, counters: Option<&Counters>) {
        let windows = counters.iter().flat_map(|counters| &counters.windows);
        let next_end = windows.clone().filter_map(|window| window.next_end(Millis::MIN)).min();
        let next_expiry = windows.filter_map(|window| window.next_expiry()).min();
        let is_over = counters.is_some_and(|counters| counters.state() >= BudgetState::Overcommitted);
        self.change(namespace, path, |level| {
            level.next_end = next_end;
            level.next_expiry = next_expiry;
            level.is_over = is_over;
        });
    }

    pub(super) fn set_carries(&mut self, namespace: &str, path: &str, carries: bool) {
        self.change(namespace, path, |level| level.carries = carries);
    }

    /// A budget's counters were of one state, and are of another; none where there are none.
    pub(super) fn set_state(&mut self, before: Option<BudgetState>, after: Option<BudgetState>) {
        if let Some(count) = before.and_then(|state| self.states.get_mut(state as usize)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = after.and_then(|state| self.states.get_mut(state as usize)) {
            *count += 1;
        }
    }

    pub(super) fn states(&self) -> [usize; 4] {
        self.states
    }

    pub(super) fn held(&self, namespace: &str, path: &str, dimension: &str) -> u128 {
        self.get(namespace, path).and_then(|level| level.held.get(dimension)).copied().unwrap_or(0)
    }

    pub(super) fn all_held(&self, namespace: &str, path: &str) -> Amounts {
        let held = self.get(namespace, path).into_iter().flat_map(|level| &level.held);
        Amounts::of(held.map(|(dimension, held)| (&**dimension, u64::try_from(*held).unwrap_or(u64::MAX))))
    }

    pub(super) fn holds(&self, namespace: &str, path: &str) -> impl Iterator<Item = HoldKey> {
        self.get(namespace, path).into_iter().flat_map(|level| level.holds.iter().copied())
    }

    pub(super) fn open_in(&self, namespace: &str, path: &str) -> impl Iterator<Item = PartitionId> {
        self.get(namespace, path).into_iter().flat_map(|level| level.open.keys().copied())
    }

    pub(super) fn waiting(&self, namespace: &str, path: &str) -> usize {
        self.get(namespace, path).map_or(0, |level| level.waiting_below)
    }

    /// Who waits at this very path behind a place, in order.
    pub(super) fn queue(&self, namespace: &str, path: &str) -> impl Iterator<Item = (Millis, PermitKey)> {
        self.queues.get(name(namespace, path).as_str()).into_iter().flatten().copied()
    }

    /// The first of each queue of a path's tree that stands behind `after`, best first, with its path.
    pub(super) fn heads(
        &self,
        namespace: &str,
        path: &str,
        after: Option<Place>,
    ) -> impl Iterator<Item = (Place, &str)> {
        let heads = self.heads.get(name(namespace, tree(path)).as_str());
        let from = after.map_or(Unbounded, |place| Included((place, Arc::from(""))));
        let heads = heads.into_iter().flat_map(move |heads| heads.range((from.clone(), Unbounded)));
        let heads = heads.filter(move |(place, _)| Some(*place) != after);
        heads.filter_map(|(place, name)| Some((*place, name.split_once('\0')?.1)))
    }

    /// The paths at a level and below at which somebody waits.
    pub(super) fn waiting_paths_under<'a>(
        &'a self,
        namespace: &str,
        level: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let first = name(namespace, level);
        let all = self.queues.range::<str, _>((Included(first.as_str()), Unbounded));
        let all = all.map(|(name, _)| &**name).take_while(move |name| name.starts_with(&first));
        let paths = all.filter_map(|name| name.split_once('\0').map(|(_, path)| path));
        paths.filter(move |path| is_under(path, level))
    }

    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn due(&self, now: Millis, limit: usize) -> Vec<Due> {
        self.due.iter().take_while(|(at, _)| *at <= now).take(limit).map(|(_, due)| due.clone()).collect()
    }
}
