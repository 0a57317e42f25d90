//! What a tree's counters should be: its entries, done again in order.

use std::collections::{BTreeMap, BTreeSet};

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::{ledger_seq, read, room};
use crate::Millis;
use crate::model::{Amounts, Budget, Carried, Counted, Counters, Entry, TopUp, WindowCounter, levels};

/// A budget's sums are counted from the beginning this often.
const FULL_EVERY_MS: Millis = 24 * 3_600 * 1_000;

/// Budgets looked at by one command.
const LOOKED_AT_MAX: usize = 2_000;

/// Budgets read for counting by one command, and noted by one: commands that wait behind it don't wait long.
const BUDGETS_MAX: usize = 200;

/// Read the counters of a tree that may differ from its ledger, a part of them at a time.
#[derive(Clone, Default, Debug)]
pub struct Unverified {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
    /// Only this budget.
    pub only: Option<String>,
    /// Count from the beginning.
    pub full: bool,
    /// Only budgets behind this path.
    pub after: Option<String>,
    /// The ledger up to here was compared by who asks: budgets whose sums are as they were then are left alone, unless an entry
    /// since is about them.
    pub compared: Option<u64>,
}

/// A tree's counters, with the place in its ledger at which they were read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recount {
    /// Entries behind this one are needed.
    pub from: u64,
    /// Up to this one.
    pub upto: u64,
    /// What is carried on from trimmed entries is needed.
    pub carries: bool,
    /// There is more to read, behind this path.
    pub next: Option<String>,
    /// Counters that are missing, or don't fit a budget: [`Reconcile`](super::Reconcile) puts them right.
    pub unfit: Vec<String>,
    /// Budgets that entries are about though their sums have not changed: to be counted by themselves.
    pub strangers: BTreeSet<String>,
    compared: Option<u64>,
    /// The last entry that was given, and the first that should have been and was not.
    given: Option<u64>,
    gap: Option<u64>,
    pub(super) namespace: String,
    pub(super) tree: String,
    now: Millis,
    /// Entries up to this one were trimmed.
    pub(super) trimmed: u64,
    pub(super) budgets: BTreeMap<String, Recounted>,
}

/// One budget's sums: as they were read, and as the ledger has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recounted {
    pub(super) budget: Budget,
    pub(super) read: Vec<WindowCounter>,
    /// Entries up to this one are counted already, and up to that one they are in the sums as they were read.
    counted: u64,
    pub(super) upto: u64,
    pub(super) full: bool,
    pub(super) expected: Vec<WindowCounter>,
}

/// Something that was not the ledger's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drift {
    /// The budget.
    pub path: String,
    /// Its window.
    pub window: String,
    /// When the period began; of a top-up, the present one.
    pub period: Millis,
    /// What of it.
    pub of: DriftOf,
    /// What the counter said.
    pub counted: Amounts,
    /// What the ledger says.
    pub ledger: Amounts,
}

/// What may differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DriftOf {
    /// What a period has used.
    Used,
    /// What was taken off beyond that.
    Owed,
    /// What of it top-ups have paid.
    Topped,
    /// What is left of a top-up.
    Left {
        /// Its id.
        top_up: String,
    },
}

impl DriftOf {
    /// Whether it is a sum, to which a difference can be applied whatever was added meanwhile.
    pub(super) fn is_sum(&self) -> bool {
        matches!(self, Self::Used | Self::Owed)
    }
}

impl Unverified {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, now) = (self.namespace.as_str(), context.now());
        let upto = ledger_seq(context, namespace, &self.tree);
        let trimmed = context.partition.ledger_mark(namespace, &self.tree).trimmed;
        // What is trimmed can't be looked through any more.
        let compared = self.compared.filter(|compared| *compared >= trimmed);
        let mut recount = Recount {
            from: compared.map_or(upto, |compared| compared.min(upto)),
            upto,
            carries: false,
            next: None,
            unfit: Vec::new(),
            strangers: BTreeSet::new(),
            compared,
            given: None,
            gap: None,
            namespace: namespace.to_owned(),
            tree: self.tree.clone(),
            now,
            trimmed,
            budgets: BTreeMap::new(),
        };
        let of_tree = context.partition.levels_in(namespace, &self.tree, self.after.as_deref());
        let paths: Box<dyn Iterator<Item = &str>> = match &self.only {
            Some(only) => Box::new(std::iter::once(only.as_str())),
            None => Box::new(of_tree),
        };
        for (looked_at, path) in paths.enumerate() {
            if looked_at >= LOOKED_AT_MAX || recount.budgets.len() >= BUDGETS_MAX {
                break;
            }
            if self.only.is_none() {
                recount.next = Some(path.to_owned());
            }
            let budget = context.partition.budget(namespace, path);
            let counters = context.partition.counters(namespace, path);
            if budget.is_none() && counters.is_none() {
                continue;
            }
            let fits = |(budget, counters): &(&Budget, &Counters)| read::fit(budget, counters);
            let Some((budget, counters)) = budget.zip(counters).filter(fits) else {
                recount.unfit.push(path.to_owned());
                continue;
            };
            let base = counters.verified.as_ref().filter(|verified| {
                !self.full && verified.full_at.saturating_add(FULL_EVERY_MS) > now && verified.seq >= trimmed
            });
            // A latch that is not as it should be is looked at too.
            let is_latched = counters.breached == Some(true);
            let is_right = room::breach(budget, counters, now).is_some() == is_latched;
            let unchanged = base.filter(|_| is_right).is_some_and(|base| {
                (base.seq == upto || compared.is_some()) && same(&base.windows, &counters.windows, now)
            });
            if unchanged {
                continue;
            }
            let since = counters.windows.iter().map(|window| window.since).min().unwrap_or(0);
            let counted = base.map_or(trimmed, |base| base.seq);
            recount.from = recount.from.min(if base.is_some() { counted } else { since.max(trimmed) });
            recount.carries |= base.is_none() && trimmed > 0;
            let expected = match base {
                Some(base) => base.windows.clone(),
                None => counters.windows.iter().map(|w| WindowCounter::new(&w.name, w.since)).collect(),
            };
            let (budget, read) = (budget.clone(), counters.windows.clone());
            let recounted = Recounted { budget, read, counted, upto, full: base.is_none(), expected };
            recount.budgets.insert(path.to_owned(), recounted);
        }
        Ok(Outcome::Unverified(Box::new(recount)))
    }
}

/// Whether what still counts is what was verified.
fn same(verified: &[WindowCounter], windows: &[WindowCounter], now: Millis) -> bool {
    let counting = |window: &WindowCounter| {
        let mut window = window.counting(now);
        window.periods.retain(|period| !period.is_empty());
        window
    };
    verified.iter().map(counting).eq(windows.iter().map(counting))
}

impl Recount {
    /// Whether there is nothing to count.
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty() && self.from >= self.upto
    }

    /// Takes in what was read of the tree since.
    pub fn join(&mut self, mut more: Self) {
        self.from = self.from.min(more.from);
        self.upto = self.upto.max(more.upto);
        self.carries |= more.carries;
        // Trimmed between the two: nobody takes note of it then.
        self.trimmed = self.trimmed.min(more.trimmed);
        self.next = more.next;
        self.unfit.append(&mut more.unfit);
        self.budgets.append(&mut more.budgets);
    }

    /// In parts that one command each may take note of.
    pub fn parts(mut self) -> Vec<Self> {
        let mut parts = Vec::with_capacity(self.budgets.len() / BUDGETS_MAX + 1);
        while let Some(first) = self.budgets.keys().nth(BUDGETS_MAX).cloned() {
            let rest = self.budgets.split_off(&first);
            let budgets = std::mem::replace(&mut self.budgets, rest);
            let (unfit, strangers) = (Vec::new(), BTreeSet::new());
            let (namespace, tree) = (self.namespace.clone(), self.tree.clone());
            parts.push(Self { budgets, unfit, strangers, namespace, tree, next: None, ..self });
        }
        parts.push(self);
        parts
    }

    /// Budgets that are counted.
    pub fn len(&self) -> usize {
        self.budgets.len()
    }

    /// Counts what a level carries on from trimmed entries; before the entries.
    pub fn carry(&mut self, path: &str, carried: &Carried) {
        let Some(recounted) = self.budgets.get_mut(path).filter(|recounted| recounted.full) else { return };
        for (window, expected) in recounted.budget.windows.iter().zip(&mut recounted.expected) {
            *expected = carried.window(&expected.name, expected.since, &window.kind);
        }
    }

    /// An entry that is in the ledger, and was not given.
    pub(super) fn missing(&self) -> Option<u64> {
        let given = self.given.unwrap_or(self.from);
        self.gap.or_else(|| (given < self.upto).then(|| given + 1))
    }

    /// Counts an entry of the ledger; in order, and each one that is needed.
    pub fn add(&mut self, seq: u64, entry: &Entry) {
        let given = self.given.unwrap_or(self.from);
        if seq > self.upto || seq <= given {
            return;
        }
        if seq != given + 1 {
            self.gap.get_or_insert(given + 1);
        }
        self.given = Some(seq);
        for level in levels(&entry.path) {
            let Some(recounted) = self.budgets.get_mut(level) else {
                if self.compared.is_some_and(|compared| seq > compared) && !self.strangers.contains(level) {
                    self.strangers.insert(level.to_owned());
                }
                continue;
            };
            if seq > recounted.counted && seq <= recounted.upto {
                recounted.take(level, seq, entry);
            }
        }
    }

    /// What differs, of what still counts.
    pub(super) fn drifts(&self) -> Vec<Drift> {
        let mut drifts = Vec::new();
        for (path, recounted) in &self.budgets {
            let windows = recounted.budget.windows.iter().zip(&recounted.read).zip(&recounted.expected);
            for ((window, read), expected) in windows {
                let (read, expected) = (read.counting(self.now), expected.counting(self.now));
                let drift = |of, period, counted, ledger| {
                    let window = read.name.clone();
                    Drift { path: path.clone(), window, period, of, counted, ledger }
                };
                let mut starts: Vec<Millis> =
                    read.periods.iter().chain(&expected.periods).map(|period| period.start).collect();
                starts.sort_unstable();
                starts.dedup();
                for start in starts {
                    let sums = |counter: &WindowCounter| {
                        let period = counter.periods.iter().find(|period| period.start == start);
                        let Counted { used, owed, topped, .. } = period.cloned().unwrap_or_default();
                        [
                            (DriftOf::Used, used),
                            (DriftOf::Owed, owed.unwrap_or_default()),
                            (DriftOf::Topped, topped),
                        ]
                    };
                    for ((of, counted), (_, ledger)) in sums(&read).into_iter().zip(sums(&expected)) {
                        if counted != ledger {
                            drifts.push(drift(of, start, counted, ledger));
                        }
                    }
                }
                let mut ids: Vec<&str> =
                    read.all_top_ups().chain(expected.all_top_ups()).map(|t| &*t.id).collect();
                ids.sort_unstable();
                ids.dedup();
                let period = window.kind.period(self.now).start;
                for id in ids {
                    let known = |counter: &WindowCounter| counter.all_top_ups().find(|t| t.id == id).cloned();
                    let (counted, ledger) = (known(&read), known(&expected));
                    if counted != ledger {
                        let left = |top_up: Option<TopUp>| top_up.map(|t| t.left).unwrap_or_default();
                        let of = DriftOf::Left { top_up: id.to_owned() };
                        drifts.push(drift(of, period, left(counted), left(ledger)));
                    }
                }
            }
        }
        drifts
    }
}

impl Recounted {
    /// Counts an entry at this level.
    pub(super) fn take(&mut self, level: &str, seq: u64, entry: &Entry) {
        let at = entry.counts_at();
        let windows = self.budget.windows.iter().zip(&self.read).zip(&mut self.expected);
        for ((window, read), expected) in windows {
            let is_it = |period: &&Counted| period.start <= at && at < period.next;
            // A period is what the counter has of it, where it has: zones may have other rules by now.
            if !expected.periods.iter().any(|period| is_it(&period))
                && let Some(known) = read.periods.iter().find(is_it)
            {
                let place = expected.periods.partition_point(|period| period.start <= known.start);
                expected.periods.insert(place, known.emptied());
            }
            expected.replay(&window.kind, level, seq, entry);
        }
    }
}
