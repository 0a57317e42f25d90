//! Counters against the ledger. The ledger is the truth: a drift is corrected, and the correction is an entry of its own.
//!
//! [`Unverified`](super::Unverified) takes counters and the ledger's position together; whoever asked reads the ledger up to
//! there and gives the entries to [`Recount`]; [`Verify`] applies the difference to what the counters are by then. What trimmed
//! entries count for was carried on from themselves, and comes in beside those that are kept.

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::recount::{Drift, DriftOf, Recount, Recounted};
use super::roll_up::{decode, read_all};
use super::{book, elapse, ledger_seq, put_counters, queue, read};
use crate::Millis;
use crate::event::EventKind;
use crate::key::{self, Key};
use crate::model::{
    Budget, Counted, Counters, Entry, EntryKind, HoldKey, PermitKey, Verified, WindowCounter, is_under,
    levels,
};

/// Entries since a recount that a command reads to correct top-ups.
const CAUGHT_UP_MAX: u64 = 1_000;

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

impl Verify {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let recount = &self.recount;
        let trimmed = context.partition.ledger_mark(&recount.namespace, &recount.tree).trimmed;
        // Entries may have gone before they were read, or be counted twice: by themselves and in what is carried on.
        let is_stale = if recount.carries { trimmed != recount.trimmed } else { trimmed > recount.from };
        // Lost with the partition's last writes: what was read is of another history.
        let is_ahead = recount.upto > ledger_seq(context, &recount.namespace, &recount.tree);
        if is_stale || is_ahead {
            return Ok(Outcome::LedgerMoved);
        }
        // One that is missing is never taken for nothing.
        if let Some(seq) = recount.missing() {
            return Err(Refusal::Corrupt(format!(
                "entry {seq} of the ledger of {} is missing",
                recount.tree
            )));
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
            let of_it: Vec<&Drift> = drifts.iter().filter(|drift| drift.path == *path).collect();
            let mut repairs = Vec::new();
            for drift in of_it.iter().filter(|drift| drift.of.is_sum()) {
                repairs.extend(correct(&mut counters, &budget, drift, now));
            }
            if of_it.iter().any(|drift| !drift.of.is_sum())
                && let Some(recounted) = caught_up(context, recount, path, recounted.clone())?
            {
                for (counter, expected) in counters.windows.iter_mut().zip(recounted.expected) {
                    correct_top_ups(counter, expected, now);
                }
                repairs.extend(of_it.iter().filter_map(|drift| of_top_ups(drift, now)));
            }
            let full_at = if recounted.full {
                now
            } else {
                counters.verified.as_ref().map_or(now, |verified| verified.full_at)
            };
            let windows = recounted.expected.iter().map(|expected| expected.counting(now)).collect();
            counters.verified = Some(Verified { seq: recounted.upto, at: now, windows, full_at });
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

/// Applies a drift of what is used or owed to a counter as it is by now, and says so in an entry.
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
    // What is owed more is used less.
    let (more, less) = if drift.of == DriftOf::Owed { (less, more) } else { (more, less) };
    period.add(&more).ok()?;
    period.take(&less);
    period.topped = period.topped.at_most(&period.used);
    let step = (drift.of == DriftOf::Owed).then(|| "owed".to_owned());
    Some(Entry { step, ..repair(drift, now) })
}

/// The same budget's windows as the ledger has them by now: what top-ups pay depends on the order of all that was booked, and no
/// difference can be applied to it. None if there is too much since; the next pass is nearer.
fn caught_up(
    context: &Context<'_>,
    recount: &Recount,
    path: &str,
    mut recounted: Recounted,
) -> Result<Option<Recounted>, Refusal> {
    let (namespace, tree) = (recount.namespace.as_str(), recount.tree.as_str());
    let upto = ledger_seq(context, namespace, path);
    if upto.saturating_sub(recounted.upto) > CAUGHT_UP_MAX {
        return Ok(None);
    }
    let since = recounted.upto.saturating_add(1)..=upto;
    let keys: Vec<Key> = since.clone().map(|seq| key::entry(namespace, tree, seq)).collect();
    for (seq, bytes) in since.zip(read_all(context, keys.iter())?) {
        let missing = || Refusal::Corrupt(format!("entry {seq} of the ledger of {tree} is missing"));
        let entry: Entry = decode(&bytes.ok_or_else(missing)?)?;
        if levels(&entry.path).any(|level| level == path) {
            recounted.take(path, seq, &entry);
        }
    }
    Ok(Some(recounted))
}

/// Sets what top-ups have paid and what is left of them to what the ledger says.
fn correct_top_ups(counter: &mut WindowCounter, expected: WindowCounter, now: Millis) {
    let expected = expected.counting(now);
    for period in &mut counter.periods {
        let known = expected.periods.iter().find(|known| known.start == period.start);
        let topped = known.map(|known| known.topped.clone()).unwrap_or_default();
        period.topped = topped.at_most(&period.used);
    }
    counter.top_ups = expected.top_ups;
}

/// The entry that says that a top-up, or what top-ups have paid, was corrected.
fn of_top_ups(drift: &Drift, now: Millis) -> Option<Entry> {
    let (step, charge_id) = match &drift.of {
        DriftOf::Used | DriftOf::Owed => return None,
        DriftOf::Topped => ("topped", None),
        DriftOf::Left { top_up } => ("left", Some(top_up.clone())),
    };
    Some(Entry { step: Some(step.to_owned()), charge_id, ..repair(drift, now) })
}

/// The entry that says that a drift was corrected.
fn repair(drift: &Drift, now: Millis) -> Entry {
    let (more, less) = (drift.ledger.less(&drift.counted), drift.counted.less(&drift.ledger));
    Entry {
        window: Some(drift.window.clone()),
        booked_at: Some(drift.period),
        less: (!less.is_zero()).then_some(less),
        ..Entry::new(now, EntryKind::Repair, &drift.path, more)
    }
}

impl Reconcile {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        if self.asks {
            let (partition, namespace, tree) = (&context.partition, &*self.namespace, &*self.tree);
            let holds = partition.holds_under(namespace, tree).filter_map(|at| match at {
                HoldKey::Permit(key) => partition.hold(&at).filter(|hold| !hold.in_doubt()).map(|_| key),
                HoldKey::Free(_) => None,
            });
            let waiting = partition.waiting_paths_under(namespace, tree);
            let waiters = waiting.flat_map(|path| partition.queue(namespace, path).map(|(_, key)| key));
            let keys: Vec<PermitKey> = holds.chain(waiters).collect();
            elapse::ask_after(context, keys);
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
