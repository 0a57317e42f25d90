//! Entries that are past the ledger's retention go, with the ids of their charges. What they count for in windows that never
//! end, and of top-ups that last, is carried on from the entries themselves, so that a recount of everything is still one.

use std::collections::BTreeMap;

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::roll_up::{decode, put_mark, read_all, read_entry};
use super::set::top_up_key;
use crate::Millis;
use crate::key::{self, Key};
use crate::model::{
    Carried, ChargeRecord, Counted, Entry, EntryKind, LedgerMark, Window, WindowKind, levels,
};
use crate::partition::Partition;

/// Entries that one command trims.
const ENTRIES_MAX: u64 = 100;

/// Drop the oldest entries of a tree's ledger.
#[derive(Clone, Debug)]
pub struct TrimLedger {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
}

impl TrimLedger {
    pub(in super::super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let mark = partition.ledger_mark(namespace, tree);
        (mark.trimmed.saturating_add(1)..=upto(&mark)).map(|seq| key::entry(namespace, tree, seq)).collect()
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let mut mark = context.partition.ledger_mark(namespace, tree);
        let upto = upto(&mark);
        let mut is_clear = upto == mark.rolled;
        let mut open: BTreeMap<String, Millis> = BTreeMap::new();
        let mut due = Vec::new();
        for seq in mark.trimmed.saturating_add(1)..=upto {
            let entry = read_entry(context, namespace, tree, seq)?;
            if entry.at >= mark.folded {
                is_clear = true;
                break;
            }
            if entry.at >= open_since(context, namespace, &entry.path, &mut open) {
                is_clear = false;
                break;
            }
            due.push((seq, entry));
        }
        let is_stuck = due.is_empty() && !is_clear;
        if is_stuck || (due.is_empty() && mark.cleared >= mark.folded) {
            return Ok(Outcome::LedgerDone { processed: 0, more: false });
        }
        let aside = quarantined(context, namespace, tree, &due)?;
        carry(context, namespace, tree, &due)?;
        for (seq, entry) in &due {
            context.delete_cold(key::entry(namespace, tree, *seq));
            if let Some(id) = index_of(namespace, tree, entry).filter(|_| !aside.contains(seq)) {
                context.delete_cold(id);
            }
            if let Some(conflict) = conflict_of(namespace, tree, entry) {
                context.delete_cold(conflict);
            }
            mark.trimmed = *seq;
        }
        if is_clear {
            mark.cleared = mark.folded;
        }
        let more = !is_clear && due.len() as u64 == ENTRIES_MAX;
        put_mark(context, namespace, tree, mark);
        Ok(Outcome::LedgerDone { processed: due.len() as u64, more })
    }
}

/// Up to which entry one command goes.
fn upto(mark: &LedgerMark) -> u64 {
    mark.rolled.min(mark.trimmed.saturating_add(ENTRIES_MAX))
}

/// Since when entries of a path may count in a period that is not over yet; those are kept.
fn open_since(
    context: &Context<'_>,
    namespace: &str,
    path: &str,
    known: &mut BTreeMap<String, Millis>,
) -> Millis {
    if let Some(at) = known.get(path) {
        return *at;
    }
    let now = context.now();
    let budgets = levels(path).filter_map(|level| context.partition.budget(namespace, level));
    let starts = budgets.flat_map(|budget| &budget.windows).filter_map(|window| match &window.kind {
        WindowKind::Total => None,
        // The oldest bucket that counts is the one that the window begins in.
        kind @ WindowKind::Rolling { every_ms } => {
            Some(Counted::at(kind, now.saturating_sub(*every_ms)).start)
        }
        kind => Some(Counted::at(kind, now).start),
    });
    let at = starts.min().unwrap_or(Millis::MAX);
    known.insert(path.to_owned(), at);
    at
}

/// Entries that were kept aside and booked later: the charge's id belongs to the later entry.
fn quarantined(
    context: &Context<'_>,
    namespace: &str,
    tree: &str,
    due: &[(u64, Entry)],
) -> Result<Vec<u64>, Refusal> {
    let aside = due.iter().filter(|(_, entry)| entry.kind == EntryKind::Quarantined);
    let aside: Vec<(u64, Key)> =
        aside.filter_map(|(seq, entry)| Some((*seq, index_of(namespace, tree, entry)?))).collect();
    let mut booked = Vec::new();
    for ((seq, _), record) in aside.iter().zip(read_all(context, aside.iter().map(|(_, key)| key))?) {
        if let Some(record) = record
            && decode::<ChargeRecord>(&record)?.seq != *seq
        {
            booked.push(*seq);
        }
    }
    Ok(booked)
}

/// Under what an entry's id is known.
fn index_of(namespace: &str, tree: &str, entry: &Entry) -> Option<Key> {
    let id = entry.charge_id.as_deref()?;
    match entry.kind {
        EntryKind::Charge | EntryKind::Refund | EntryKind::Adjustment | EntryKind::Quarantined => {
            Some(key::charge(namespace, tree, id))
        }
        EntryKind::TopUp => Some(top_up_key(namespace, &entry.path, id)),
        EntryKind::CarryOver | EntryKind::Repair => None,
    }
}

/// Under what an entry is known that was kept aside because its charge's id stands for another.
fn conflict_of(namespace: &str, tree: &str, entry: &Entry) -> Option<Key> {
    let (id, execution) = (entry.charge_id.as_deref()?, entry.execution?);
    (entry.kind == EntryKind::Quarantined).then(|| key::charge_aside(namespace, tree, id, execution))
}

/// Counts entries for the windows that they count in, and in which top-ups may last.
fn carry(
    context: &mut Context<'_>,
    namespace: &str,
    tree: &str,
    due: &[(u64, Entry)],
) -> Result<(), Refusal> {
    let mut paths: Vec<&str> = due.iter().flat_map(|(_, entry)| levels(&entry.path)).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.retain(|path| context.partition.budget(namespace, path).is_some());
    let keys: Vec<Key> = paths.iter().map(|path| key::carried(namespace, tree, path)).collect();
    let known = read_all(context, keys.iter())?;
    for ((path, key), known) in paths.into_iter().zip(keys).zip(known) {
        let mut carried: Carried = known.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let before = carried.clone();
        let windows = windows(context.partition, namespace, path);
        for (seq, entry) in due.iter().filter(|(_, entry)| levels(&entry.path).any(|level| level == path)) {
            carried.count(&windows, path, *seq, entry);
        }
        // Windows that are no more, or began anew.
        carried.windows.retain(|known| {
            windows.iter().any(|(name, _, since)| known.name == *name && known.since == *since)
        });
        if carried != before {
            context.put_cold(key, carried.encode());
        }
    }
    Ok(())
}

/// A budget's windows: their names, what they are, and since when they count.
fn windows(partition: &Partition, namespace: &str, path: &str) -> Vec<(String, WindowKind, u64)> {
    let Some(budget) = partition.budget(namespace, path) else { return Vec::new() };
    let Some(counters) = partition.counters(namespace, path) else { return Vec::new() };
    let window = |window: &Window| {
        Some((window.name.clone(), window.kind.clone(), counters.window(&window.name)?.since))
    };
    budget.windows.iter().filter_map(window).collect()
}
