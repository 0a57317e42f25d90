//! Budgets, counters, holds and those who wait, as the projection has them.

use std::ops::Bound;

use super::Partition;
use crate::Millis;
use crate::ids::{ExecutionId, PartitionId};
use crate::key::{self, Key};
use crate::model::{
    Amounts, Ask, Budget, BudgetState, Counters, Hold, HoldKey, PermitKey, PriceTable, Record,
};

impl Partition {
    /// Follows a record of money: `before` is what stood there, and whether something stands there now.
    pub(super) fn index_money(&mut self, key: &Key, before: Option<&Record>, after: bool) {
        let after = if after { self.others.get(&key.bytes) } else { None };
        match key.bytes.first() {
            Some(b'k') => {
                let Some(at) = key::read_hold(&key.bytes) else { return };
                if let Some(Record::Hold(hold)) = before {
                    self.budgets.remove_hold(at, hold);
                }
                if let Some(Record::Hold(hold)) = after {
                    self.budgets.add_hold(at, hold);
                }
            }
            Some(b'w') => {
                let Some(at) = key::read_waiter(&key.bytes) else { return };
                if let Some(Record::Waiter(ask)) = before {
                    self.budgets.remove_waiter(at, ask);
                }
                if let Some(Record::Waiter(ask)) = after {
                    self.budgets.add_waiter(at, ask);
                }
            }
            Some(b'd') => {
                let Some((namespace, path)) = key::path_name(b'd', &key.bytes) else { return };
                let is_carried = |budget: &Budget| budget.carry_over == Some(true);
                let carries = matches!(after, Some(Record::Budget(budget)) if is_carried(budget));
                self.budgets.set_carries(namespace, path, carries);
            }
            _ => {
                let Some((namespace, path)) = key::path_name(b'c', &key.bytes) else { return };
                fn counters(record: Option<&Record>) -> Option<&Counters> {
                    match record {
                        Some(Record::Counters(counters)) => Some(counters),
                        _ => None,
                    }
                }
                let was = counters(before).map(Counters::state);
                let counters = counters(after);
                self.budgets.set_state(was, counters.map(Counters::state));
                self.budgets.set_counters(namespace, path, counters);
            }
        }
    }

    /// A budget that lives here.
    pub fn budget(&self, namespace: &str, path: &str) -> Option<&Budget> {
        match self.other(&key::budget(namespace, path)) {
            Some(Record::Budget(budget)) => Some(budget),
            _ => None,
        }
    }

    /// How many budgets here are in each state.
    pub fn budget_states(&self) -> [(BudgetState, usize); 4] {
        let [open, exhausted, overcommitted, breached] = self.budgets.states();
        [
            (BudgetState::Open, open),
            (BudgetState::Exhausted, exhausted),
            (BudgetState::Overcommitted, overcommitted),
            (BudgetState::Breached, breached),
        ]
    }

    /// What a budget has used.
    pub fn counters(&self, namespace: &str, path: &str) -> Option<&Counters> {
        match self.other(&key::counters(namespace, path)) {
            Some(Record::Counters(counters)) => Some(counters),
            _ => None,
        }
    }

    /// Money set aside.
    pub fn hold(&self, at: &HoldKey) -> Option<&Hold> {
        match self.other(&key::hold(at)) {
            Some(Record::Hold(hold)) => Some(hold),
            _ => None,
        }
    }

    /// Who waits under a key.
    pub fn waiter(&self, at: &PermitKey) -> Option<&Ask> {
        match self.other(&key::waiter(at)) {
            Some(Record::Waiter(ask)) => Some(ask),
            _ => None,
        }
    }

    /// Everybody who waits for money here.
    pub fn waiters(&self) -> impl Iterator<Item = (PermitKey, &Ask)> {
        self.others(b'w').filter_map(|(key, record)| match record {
            Record::Waiter(ask) => Some((key::read_waiter(key)?, &**ask)),
            _ => None,
        })
    }

    /// All holds here.
    pub fn holds(&self) -> impl Iterator<Item = (HoldKey, &Hold)> {
        self.others(b'k').filter_map(|(key, record)| match record {
            Record::Hold(hold) => Some((key::read_hold(key)?, &**hold)),
            _ => None,
        })
    }

    /// All holds of attempts.
    pub fn permits(&self) -> impl Iterator<Item = (PermitKey, &Hold)> {
        self.holds().filter_map(|(key, hold)| match key {
            HoldKey::Permit(key) => Some((key, hold)),
            HoldKey::Free(_) => None,
        })
    }

    /// Holds of one execution's attempts.
    pub(crate) fn permits_of(&self, execution: ExecutionId) -> impl Iterator<Item = (PermitKey, &Hold)> {
        let key = |ask: u32, n: u8| key::hold(&HoldKey::Permit(PermitKey { execution, ask, n })).bytes;
        let range = self.others.range(key(0, 0)..=key(u32::MAX, u8::MAX));
        range.filter_map(|(key, record)| match (key::read_hold(key)?, record) {
            (HoldKey::Permit(key), Record::Hold(hold)) => Some((key, &**hold)),
            _ => None,
        })
    }

    /// Budgets of a namespace that live here, by path.
    pub fn budgets(&self, namespace: &str) -> impl Iterator<Item = &str> {
        let names = self.others(b'd').filter_map(|(key, _)| key::path_name(b'd', key));
        names.filter(move |(of, _)| *of == namespace).map(|(_, path)| path)
    }

    /// Namespaces and trees of budgets that live here.
    pub fn trees(&self) -> std::collections::BTreeSet<(String, String)> {
        let names = self.others(b'd').filter_map(|(key, _)| key::path_name(b'd', key));
        let mut trees = std::collections::BTreeSet::new();
        let mut last = ("", "");
        for (namespace, path) in names {
            let name = (namespace, crate::model::tree(path));
            if name != last {
                last = name;
                trees.insert((namespace.to_owned(), name.1.to_owned()));
            }
        }
        trees
    }

    /// Paths of a tree that have a budget here, or counters, in order, behind `after`.
    pub(crate) fn levels_in<'a>(
        &'a self,
        namespace: &'a str,
        tree: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a str> {
        let mut budgets = self.paths_in(b'd', key::budget, namespace, tree, after).peekable();
        let mut counters = self.paths_in(b'c', key::counters, namespace, tree, after).peekable();
        std::iter::from_fn(move || match (budgets.peek(), counters.peek()) {
            (Some(budget), Some(counted)) if budget < counted => budgets.next(),
            (Some(budget), Some(counted)) if budget == counted => {
                counters.next();
                budgets.next()
            }
            (Some(_), None) => budgets.next(),
            _ => counters.next(),
        })
    }

    fn paths_in(
        &self,
        prefix: u8,
        key: fn(&str, &str) -> Key,
        namespace: &str,
        tree: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &str> {
        let root = after.is_none().then(|| self.others.get_key_value(&key(namespace, tree).bytes));
        // What stands between a slash and what follows it in the order of bytes.
        let first = key(namespace, &format!("{tree}/")).bytes;
        let end = key(namespace, &format!("{tree}0")).bytes;
        let from = match after.filter(|after| *after > tree) {
            Some(after) => Bound::Excluded(key(namespace, after).bytes),
            None => Bound::Included(first),
        };
        let below = self.others.range((from, Bound::Excluded(end)));
        let all = root.flatten().into_iter().chain(below);
        all.filter_map(move |(at, _)| crate::key::path_name(prefix, at)).map(|(_, path)| path)
    }

    /// Held at a level and below.
    pub(crate) fn held(&self, namespace: &str, path: &str, dimension: &str) -> u128 {
        self.budgets.held(namespace, path, dimension)
    }

    /// The same, of every dimension.
    pub(crate) fn all_held(&self, namespace: &str, path: &str) -> Amounts {
        self.budgets.all_held(namespace, path)
    }

    /// Holds at a level and below.
    pub(crate) fn holds_under(&self, namespace: &str, path: &str) -> impl Iterator<Item = HoldKey> {
        self.budgets.holds(namespace, path)
    }

    /// Partitions whose attempts hold something at a level or below.
    pub(crate) fn open_in(&self, namespace: &str, path: &str) -> impl Iterator<Item = PartitionId> {
        self.budgets.open_in(namespace, path)
    }

    /// How many wait at a level and below.
    pub(crate) fn waiting(&self, namespace: &str, path: &str) -> usize {
        self.budgets.waiting(namespace, path)
    }

    /// Who waits at this very path, in order.
    pub(crate) fn queue(&self, namespace: &str, path: &str) -> impl Iterator<Item = (Millis, PermitKey)> {
        self.budgets.queue(namespace, path)
    }

    /// The first who waits at each path of a tree, of those behind `after`, best first.
    pub(crate) fn heads(
        &self,
        namespace: &str,
        path: &str,
        after: Option<(Millis, PermitKey)>,
    ) -> impl Iterator<Item = ((Millis, PermitKey), &str)> {
        self.budgets.heads(namespace, path, after)
    }

    /// Paths at a level and below at which somebody waits.
    pub(crate) fn waiting_paths_under<'a>(
        &'a self,
        namespace: &str,
        level: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        self.budgets.waiting_paths_under(namespace, level)
    }

    /// Executions that have or want a permit of a budget at or below a level.
    pub(crate) fn spenders_under(&self, namespace: &str, level: &str) -> Vec<ExecutionId> {
        self.spenders.under(namespace, level)
    }

    /// Executions that have or want a permit of a tree that lives there.
    pub(crate) fn spenders_of(&self, partition: PartitionId) -> Vec<ExecutionId> {
        self.spenders.of(partition).into_iter().collect()
    }

    /// This partition's copy of a namespace's price table.
    pub fn prices(&self, namespace: &str) -> &PriceTable {
        match self.other(&key::prices(namespace)) {
            Some(Record::Prices(table)) => table,
            _ => &self.unpriced,
        }
    }

    /// Price tables that are at home here.
    pub(crate) fn price_homes(&self) -> impl Iterator<Item = (&str, &PriceTable)> {
        self.others(b'q').filter_map(|(key, record)| match record {
            Record::Prices(table) => Some((std::str::from_utf8(key.get(1..)?).ok()?, &**table)),
            _ => None,
        })
    }

    /// Namespaces of whose price tables this partition has a copy.
    pub(crate) fn price_copies(&self) -> impl Iterator<Item = &str> {
        self.others(b'p').filter_map(|(key, _)| std::str::from_utf8(key.get(1..)?).ok())
    }

    /// How many of an execution's group here name the same budgets, have not asked, and come before it; counts no further than
    /// `most`. It may live in another partition.
    pub fn wanting_before(&self, execution: &crate::model::Execution, most: usize) -> usize {
        let place = (execution.order, execution.id);
        let ready = self.lanes.ready(&execution.group);
        ready.map_or(0, |ready| ready.wanting_before(super::ready::line(execution), place, most))
    }

    /// Whether an execution waits because another of the same budgets does.
    pub(crate) fn waits_behind(&self, execution: &crate::model::Execution) -> Option<ExecutionId> {
        self.lanes.ready(&execution.group)?.before_it(execution)
    }
}
