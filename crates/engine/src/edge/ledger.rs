//! Entries of the ledger as the API shows them.

use stint_api::{Instant, LedgerEntry, LedgerKind};
use stint_core::model::{Entry, EntryKind};

use super::budget::amounts;

/// An entry, with the tags of its execution.
pub(crate) fn entry(seq: u64, entry: Entry, tags: &[(String, String)]) -> LedgerEntry {
    // The record has one place for what each kind has besides.
    let (mut step, mut refunds, mut reason) = (None, None, None);
    match entry.kind {
        EntryKind::Refund => refunds = entry.step,
        EntryKind::Adjustment | EntryKind::Repair => reason = entry.step,
        _ => step = entry.step,
    }
    LedgerEntry {
        seq,
        at: Instant::from_millis(entry.at),
        kind: kind(entry.kind),
        path: entry.path,
        amounts: amounts(&entry.amounts),
        charge_id: entry.charge_id,
        execution: entry.execution.map(|id| id.to_string()),
        attempt: entry.attempt,
        execution_kind: entry.execution_kind,
        step,
        refunds,
        reason,
        model: entry.model,
        prices: entry.prices,
        booked_at: entry.booked_at.map(Instant::from_millis),
        window: entry.window,
        less: entry.less.as_ref().map(amounts),
        expires_at: entry.expires_at.map(Instant::from_millis),
        paid: entry.paid.as_ref().map(amounts),
        late: entry.late == Some(true),
        tags: tags.iter().cloned().collect(),
    }
}

/// What an entry is.
pub(crate) fn kind(kind: EntryKind) -> LedgerKind {
    match kind {
        EntryKind::Charge => LedgerKind::Charge,
        EntryKind::Refund => LedgerKind::Refund,
        EntryKind::Adjustment => LedgerKind::Adjustment,
        EntryKind::TopUp => LedgerKind::TopUp,
        EntryKind::CarryOver => LedgerKind::CarryOver,
        EntryKind::Repair => LedgerKind::Repair,
        EntryKind::Quarantined => LedgerKind::Quarantined,
    }
}
