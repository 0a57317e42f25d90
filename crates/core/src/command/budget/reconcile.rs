//! Counters against the ledger. The ledger is the truth: a drift is corrected, and the correction is an entry of its own.
//!
//! [`Unverified`] takes counters and the ledger's position together; whoever asked reads the ledger up to there and gives the
//! entries to [`Recount`]; [`Verify`] applies the difference to what the counters are by then. What trimmed entries count for
//! was carried on from themselves, and comes in beside those that are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::{book, elapse, ledger_seq, put_counters, queue, read};
use crate::Millis;
use crate::event::EventKind;
use crate::key;
use crate::model::{
    Amounts, Budget, Carried, Counted, Counters, Entry, EntryKind, PermitKey, Verified, WindowCounter,
    WindowKind, is_under, levels, tree,
};

/// A budget's sums are counted from the beginning this often.
const FULL_EVERY_MS: Millis = 24 * 3_600 * 1_000;

/// Budgets looked at by one command.
const LOOKED_AT_MAX: usize = 2_000;

/// Budgets read for counting by one command, and noted by one: commands that wait behind it don't wait long.
const BUDGETS_MAX: usize = 200;

/// Permits asked after in one message.
const CHECKED_MAX: usize = 1_000;

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
    /// Counters that are missing, or don't fit a budget: [`Reconcile`] puts them right.
    pub unfit: Vec<String>,
    /// Budgets that entries are about though their sums have not changed: to be counted by themselves.
    pub strangers: BTreeSet<String>,
    compared: Option<u64>,
    namespace: String,
    tree: String,
    now: Millis,
    /// Entries up to this one were trimmed.
    trimmed: u64,
    budgets: BTreeMap<String, Recounted>,
}

/// One budget's sums: as they were read, and as the ledger has them.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Recounted {
    budget: Budget,
    read: Vec<WindowCounter>,
    /// Entries up to this one are counted already, and up to that one they are in the sums as they were read.
    counted: u64,
    upto: u64,
    full: bool,
    expected: Vec<Vec<Counted>>,
}

/// A sum that was not the ledger's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drift {
    /// The budget.
    pub path: String,
    /// Its window.
    pub window: String,
    /// When the period began.
    pub period: Millis,
    /// What the counter said.
    pub counted: Amounts,
    /// What the ledger says.
    pub ledger: Amounts,
}

/// Take note of what a recount found, and correct it.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The recount, with all its entries.
    pub recount: Recount,
    /// Only say what differs.
    pub dry_run: bool,
}

/// Ask the executions' partitions which permits of a tree they still want, and put counters right that fit no budget.
#[derive(Clone, Debug)]
pub struct Reconcile {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
    /// Whether to ask.
    pub asks: bool,
    /// The counters' paths.
    pub unfit: Vec<String>,
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
            let unchanged = base.is_some_and(|base| {
                (base.seq == upto || compared.is_some()) && same(&base.windows, &counters.windows, now)
            });
            if unchanged {
                continue;
            }
            let since = counters.windows.iter().map(|window| window.since).min().unwrap_or(0);
            let counted = base.map_or(trimmed, |base| base.seq);
            recount.from = recount.from.min(if base.is_some() { counted } else { since.max(trimmed) });
            recount.carries |= base.is_none() && trimmed > 0;
            let windows = counters.windows.iter();
            let expected = windows.map(|window| match base {
                Some(base) => {
                    base.windows.iter().find(|(name, _)| *name == window.name).map(|(_, p)| p.clone())
                }
                None => None,
            });
            let expected = expected.map(Option::unwrap_or_default).collect();
            let (budget, read) = (budget.clone(), counters.windows.clone());
            let recounted = Recounted { budget, read, counted, upto, full: base.is_none(), expected };
            recount.budgets.insert(path.to_owned(), recounted);
        }
        Ok(Outcome::Unverified(Box::new(recount)))
    }
}

/// Whether the sums that still count are those that were verified.
fn same(verified: &[(String, Vec<Counted>)], windows: &[WindowCounter], now: Millis) -> bool {
    let counting = |period: &&Counted| period.end > now && !period.used.is_zero();
    let is_same = |verified: &[Counted], counted: &[Counted]| {
        let (verified, counted) = (verified.iter().filter(counting), counted.iter().filter(counting));
        verified.map(|p| (p.start, &p.used)).eq(counted.map(|p| (p.start, &p.used)))
    };
    verified.len() == windows.len()
        && verified.iter().zip(windows).all(|((_, verified), window)| is_same(verified, &window.periods))
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
        let windows = recounted.budget.windows.iter().zip(&recounted.read).zip(&mut recounted.expected);
        for ((window, counter), periods) in
            windows.filter(|((window, _), _)| window.kind == WindowKind::Total)
        {
            let used = carried.used(&counter.name, counter.since);
            if !used.is_zero() {
                periods.push(Counted { used, ..Counted::at(&window.kind, self.now) });
            }
        }
    }

    /// Counts an entry of the ledger; in order.
    pub fn add(&mut self, seq: u64, entry: &Entry) {
        if seq > self.upto {
            return;
        }
        let at = entry.counts_at();
        for level in levels(&entry.path) {
            let Some(recounted) = self.budgets.get_mut(level) else {
                if self.compared.is_some_and(|compared| seq > compared) && !self.strangers.contains(level) {
                    self.strangers.insert(level.to_owned());
                }
                continue;
            };
            if seq <= recounted.counted || seq > recounted.upto {
                continue;
            }
            let windows = recounted.budget.windows.iter().zip(&recounted.read).zip(&mut recounted.expected);
            for ((window, counter), periods) in
                windows.filter(|((_, counter), _)| entry.counts_since(counter.since, seq))
            {
                let place = periods.iter().position(|period| period.start <= at && at < period.next);
                match entry.kind {
                    EntryKind::Charge | EntryKind::Adjustment => {
                        let place = place.unwrap_or_else(|| {
                            let place = periods.partition_point(|period| period.start <= at);
                            // A period is what the counter has of it, where it has: zones may have other rules by now.
                            let known = counter.periods.iter().find(|p| p.start <= at && at < p.next);
                            let empty = Counted {
                                used: Amounts::default(),
                                topped: Amounts::default(),
                                ..known.cloned().unwrap_or_else(|| Counted::at(&window.kind, at))
                            };
                            periods.insert(place, empty);
                            place
                        });
                        if let Some(period) = periods.get_mut(place) {
                            // The counters were checked when it was booked.
                            _ = period.used.add(&entry.amounts);
                            if let Some(less) = &entry.less {
                                period.used.take(less);
                            }
                        }
                    }
                    EntryKind::Refund => {
                        if let Some(period) = place.and_then(|place| periods.get_mut(place)) {
                            period.used.take(&entry.amounts);
                        }
                    }
                    EntryKind::TopUp | EntryKind::CarryOver | EntryKind::Repair | EntryKind::Quarantined => {}
                }
            }
        }
    }

    /// What differs, of periods that still count.
    fn drifts(&self) -> Vec<Drift> {
        let mut drifts = Vec::new();
        for (path, recounted) in &self.budgets {
            for (counter, expected) in recounted.read.iter().zip(&recounted.expected) {
                let starts = counter.periods.iter().chain(expected).filter(|period| period.end > self.now);
                let mut starts: Vec<Millis> = starts.map(|period| period.start).collect();
                starts.sort_unstable();
                starts.dedup();
                for start in starts {
                    let used = |periods: &[Counted]| {
                        let period = periods.iter().find(|period| period.start == start);
                        period.map(|period| period.used.clone()).unwrap_or_default()
                    };
                    let (counted, ledger) = (used(&counter.periods), used(expected));
                    if counted != ledger {
                        let window = counter.name.clone();
                        drifts.push(Drift { path: path.clone(), window, period: start, counted, ledger });
                    }
                }
            }
        }
        drifts
    }
}

impl Verify {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let recount = &self.recount;
        let trimmed = context.partition.ledger_mark(&recount.namespace, &recount.tree).trimmed;
        // Entries may have gone before they were read, or be counted twice: by themselves and in what is carried on.
        let is_stale = if recount.carries { trimmed != recount.trimmed } else { trimmed > recount.from };
        if is_stale {
            return Ok(Outcome::LedgerTrimmed);
        }
        let drifts = recount.drifts();
        if self.dry_run {
            return Ok(Outcome::Reconciled(drifts));
        }
        let now = context.now();
        for (path, recounted) in &recount.budgets {
            let namespace = recount.namespace.as_str();
            let Some(budget) = context.partition.budget(namespace, path).cloned() else { continue };
            // Set anew since: the next pass looks at it.
            if budget.generation != recounted.budget.generation {
                continue;
            }
            let Some(mut counters) = context.partition.counters(namespace, path).cloned() else { continue };
            let mut repairs = Vec::new();
            for drift in drifts.iter().filter(|drift| drift.path == *path) {
                repairs.extend(correct(&mut counters, &budget, drift, now));
            }
            let full_at = if recounted.full {
                now
            } else {
                counters.verified.as_ref().map_or(now, |verified| verified.full_at)
            };
            let windows = recounted.read.iter().zip(&recounted.expected).map(|(counter, expected)| {
                let counting = expected.iter().filter(|period| period.end > now).cloned();
                (counter.name.clone(), counting.collect())
            });
            counters.verified =
                Some(Verified { seq: recounted.upto, at: now, windows: windows.collect(), full_at });
            book::latch(context, namespace, path, &budget, &mut counters);
            put_counters(context, namespace, path, counters);
            let repaired = !repairs.is_empty();
            for entry in repairs {
                book::append(context, namespace, &entry);
            }
            if repaired {
                context.event_of_budget(namespace, path, EventKind::BudgetRepaired);
                queue::grant_waiting(context, namespace, path);
            }
        }
        Ok(Outcome::Reconciled(drifts))
    }
}

/// Applies a drift to a counter as it is by now, and says so in an entry.
fn correct(counters: &mut Counters, budget: &Budget, drift: &Drift, now: Millis) -> Option<Entry> {
    let window = budget.windows.iter().find(|window| window.name == drift.window)?;
    let counter = counters.windows.iter_mut().find(|counter| counter.name == drift.window)?;
    let (more, less) = (drift.ledger.less(&drift.counted), drift.counted.less(&drift.ledger));
    let place = counter.periods.iter().position(|period| period.start == drift.period);
    let period = match place {
        Some(place) => counter.periods.get_mut(place)?,
        None => {
            let period = Counted::at(&window.kind, drift.period);
            let place = counter.periods.partition_point(|other| other.start <= period.start);
            counter.periods.insert(place, period);
            counter.periods.get_mut(place)?
        }
    };
    period.used.add(&more).ok()?;
    period.used.take(&less);
    period.topped = period.topped.at_most(&period.used);
    Some(Entry {
        window: Some(drift.window.clone()),
        booked_at: Some(drift.period),
        less: (!less.is_zero()).then_some(less),
        ..Entry::new(now, EntryKind::Repair, &drift.path, more)
    })
}

impl Reconcile {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let partition = &context.partition;
        let of_tree = |namespace: &str, path: &str| namespace == self.namespace && tree(path) == self.tree;
        let holds =
            partition.permits().filter(|(_, hold)| of_tree(&hold.namespace, &hold.path) && !hold.in_doubt());
        let waiters = partition.waiters().filter(|(_, ask)| of_tree(&ask.namespace, &ask.path));
        let keys: Vec<PermitKey> = holds.map(|(key, _)| key).chain(waiters.map(|(key, _)| key)).collect();
        for keys in keys.chunks(CHECKED_MAX).filter(|_| self.asks) {
            elapse::ask_after(context, keys.to_vec());
        }
        // Counters that belong to no budget, such that have other windows than it, and none at all. Since when a window counts
        // is lost with them: it counts all that the ledger has, rather too much than too little.
        for path in self.unfit.iter().filter(|path| is_under(path, &self.tree)) {
            let budget = context.partition.budget(&self.namespace, path).cloned();
            let counters = context.partition.counters(&self.namespace, path).cloned().unwrap_or_default();
            match budget {
                None => context.put_record(key::counters(&self.namespace, path), None),
                Some(budget) if !read::fit(&budget, &counters) => {
                    let windows = budget.windows.iter().map(|window| {
                        counters
                            .window(&window.name)
                            .cloned()
                            .unwrap_or_else(|| WindowCounter::new(&window.name, 0))
                    });
                    let counters =
                        Counters { windows: windows.collect(), verified: None, ..counters.clone() };
                    put_counters(context, &self.namespace, path, counters);
                }
                Some(_) => {}
            }
        }
        Ok(Outcome::Done)
    }
}
