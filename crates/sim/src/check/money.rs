//! The auditor: keeps its own books of what the provider billed, and compares them with the ledger and the counters.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use stint_core::model::{Budget, Counters, Entry, EntryKind, Hold, Record, is_under, tree};
use stint_core::{Key, key};
use stint_store::memory::Dump;
use stint_store::{PARTITIONS, PartitionId};

use super::Checker;
use crate::invariant::Invariant;

/// The one dimension.
pub(super) const USD: &str = "usd";

/// What the provider and those who spend say.
#[derive(Default)]
pub(super) struct Money {
    /// What the provider billed, and what is asked back, by id.
    bill: BTreeMap<String, u64>,
    /// Charges that Stint has acknowledged, each with a tree that it counts in.
    heard: BTreeSet<(String, String)>,
    /// What budgets had used and held when their limit was lowered below it, by path: until it falls it may not grow.
    lowered: BTreeMap<String, u64>,
}

/// A budget as the store has it.
pub(super) struct Standing {
    pub(super) path: String,
    budget: Budget,
    pub(super) used: u64,
    pub(super) held: u64,
    /// Whether it is known to be breached.
    pub(super) breached: bool,
    /// All that its limit was ever raised by for once.
    topped_up: u64,
}

impl Standing {
    pub(super) fn limit(&self) -> Option<u64> {
        let hard = self.budget.windows.iter().filter_map(|window| window.limits.get(USD)?.hard).min();
        hard.map(|hard| hard + self.topped_up)
    }

    fn overshoot(&self) -> u64 {
        self.budget.overshoot.as_ref().map_or(0, |amounts| amounts.get(USD))
    }
}

impl Checker {
    /// The provider has done something, or is to give something back, and bills it once per id.
    pub(crate) fn billed(&mut self, id: &str, amount: u64) {
        self.money.bill.entry(id.to_owned()).or_insert(amount);
    }

    /// A charge at this path was acknowledged.
    pub(crate) fn charge_heard(&mut self, path: &str, id: &str) {
        self.money.heard.insert((tree(path).to_owned(), id.to_owned()));
    }

    /// After a commit: no budget has used and holds more than its limit, but for what was charged too late to be held, and
    /// what it had when its limit was lowered. Where writes are lost, attempts that nobody knew of get their holds back
    /// above the limit.
    pub(super) fn budgets_hold(&mut self, before: &Dump, dump: &Dump) {
        if self.rollbacks || !money_changed(before, dump) {
            return;
        }
        let mut broken = Vec::new();
        for at in standings(dump) {
            let Some(limit) = at.limit() else { continue };
            let late = entries(dump, &at.path).into_iter().filter(|entry| entry.late == Some(true));
            let late: u64 = late.filter(|e| is_under(&e.path, &at.path)).map(|e| e.amounts.get(USD)).sum();
            let has = (at.used + at.held).saturating_sub(late);
            if has <= limit + at.overshoot() {
                self.money.lowered.remove(&at.path);
                continue;
            }
            let was_lowered = || {
                let mut of_before = standings(before).into_iter().filter(|was| was.path == at.path);
                of_before.any(|was| was.limit() > Some(limit) && was.used + was.held >= at.used + at.held)
            };
            let allowed = self.money.lowered.get(&at.path).copied().or_else(|| was_lowered().then_some(has));
            if allowed.is_some_and(|allowed| has <= allowed) {
                self.money.lowered.insert(at.path, has);
                continue;
            }
            broken.push(format!(
                "budget {}: {} used and {} held of {limit}, {late} of it charged late",
                at.path, at.used, at.held
            ));
        }
        for what in broken {
            self.found(Invariant::WithinBudget, what);
        }
    }

    /// At rest: nothing is held, nobody waits, and every book says the same.
    pub(super) fn books_agree(&mut self) {
        let dumps: Vec<Dump> = (0..PARTITIONS).map(|p| self.store.dump(PartitionId(p))).collect();
        let mut left = 0;
        let mut wrong = Vec::new();
        let mut booked = BTreeSet::new();
        for dump in &dumps {
            let is_left = |key: &&Bytes| matches!(key.first(), Some(b'k' | b'w'));
            left += dump.live.keys().filter(is_left).count();
            for at in standings(dump) {
                let mut sum = 0;
                let own = entries(dump, &at.path).into_iter().filter(|e| is_under(&e.path, &at.path));
                for entry in own {
                    match entry.kind {
                        EntryKind::Charge | EntryKind::Adjustment => sum += entry.amounts.get(USD),
                        EntryKind::Refund => sum = sum.saturating_sub(entry.amounts.get(USD)),
                        _ => continue,
                    }
                    let Some(id) = entry.charge_id else { continue };
                    let billed = self.money.bill.get(&id).copied().unwrap_or(0);
                    if billed != entry.amounts.get(USD) {
                        wrong.push(format!("{id} is booked with {:?}, billed {billed}", entry.amounts));
                    }
                    if !booked.insert((at.path.clone(), id.clone())) {
                        wrong.push(format!("{id} is booked twice at {}", at.path));
                    }
                }
                if sum != at.used {
                    wrong.push(format!("{} has used {}, its ledger says {sum}", at.path, at.used));
                }
            }
        }
        // What was lost with the writes of the execution's own partition is lost.
        let lost = self.money.heard.difference(&booked).filter(|_| !self.rollbacks);
        let lost: Vec<String> =
            lost.map(|(tree, id)| format!("{id} was heard and is not booked in {tree}")).collect();
        for what in wrong.into_iter().chain(lost) {
            self.found(Invariant::Books, what);
        }
        if left > 0 {
            self.found(Invariant::NothingHeld, format!("{left} holds and waiters are left"));
        }
    }
}

pub(super) fn money_changed(before: &Dump, after: &Dump) -> bool {
    let of = |dump: &Dump, kind: u8| -> Vec<(Bytes, Bytes)> {
        let from = Bytes::copy_from_slice(&[kind]);
        let to = Bytes::copy_from_slice(&[kind + 1]);
        dump.live.range(from..to).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    [b'c', b'd', b'k'].into_iter().any(|kind| of(before, kind) != of(after, kind))
}

pub(super) fn standings(dump: &Dump) -> Vec<Standing> {
    let record = |key: &Bytes, value: &Bytes| Record::decode(key, value).ok();
    let holds: Vec<Hold> = dump
        .live
        .iter()
        .filter(|(key, _)| key.first() == Some(&b'k'))
        .filter_map(|(key, value)| match record(key, value)? {
            Record::Hold(hold) => Some(*hold),
            _ => None,
        })
        .collect();
    let budgets = dump.live.iter().filter(|(key, _)| key.first() == Some(&b'd'));
    let standing = |(at, value): (&Bytes, &Bytes)| {
        let (_, path) = std::str::from_utf8(at.get(1..)?).ok()?.split_once('\0')?;
        let Some(Record::Budget(budget)) = record(at, value) else { return None };
        let counters: Key = key::counters("default", path);
        let counters =
            dump.live.get(&counters.bytes).and_then(|value| match record(&counters.bytes, value)? {
                Record::Counters(counters) => Some(*counters),
                _ => None,
            });
        let used = |counters: &Counters| -> u64 {
            let periods = counters.windows.iter().flat_map(|window| &window.periods);
            periods.map(|period| period.used.get(USD)).sum()
        };
        let held =
            holds.iter().filter(|hold| is_under(&hold.path, path)).map(|hold| hold.held.get(USD)).sum();
        Some(Standing {
            path: path.to_owned(),
            budget: *budget,
            used: counters.as_ref().map_or(0, used),
            held,
            topped_up: top_ups(dump, path),
            breached: counters.is_some_and(|counters| counters.breached == Some(true)),
        })
    };
    budgets.filter_map(standing).collect()
}

fn top_ups(dump: &Dump, path: &str) -> u64 {
    let all = entries(dump, path).into_iter().filter(|e| e.kind == EntryKind::TopUp && e.path == path);
    all.map(|entry| entry.amounts.get(USD)).sum()
}

/// What a commit has added to a path's ledger.
pub(super) fn new_entries(before: &Dump, dump: &Dump, path: &str) -> Vec<Entry> {
    let prefix = key::ledger("default", tree(path)).bytes;
    let own = dump.ordered.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let new = own.filter(|(key, _)| !before.ordered.contains_key(*key));
    new.filter_map(|(_, value)| minicbor::decode(value).ok()).collect()
}

fn entries(dump: &Dump, path: &str) -> Vec<Entry> {
    let prefix = key::ledger("default", tree(path)).bytes;
    let own = dump.ordered.iter().filter(|(key, _)| key.starts_with(&prefix));
    own.filter_map(|(_, value)| minicbor::decode(value).ok()).collect()
}
