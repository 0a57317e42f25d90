//! Doubt: while nobody knows what an attempt's last call costs, what is held for it stays held.

use stint_core::ExecutionId;
use stint_core::key;
use stint_core::model::{EntryKind, EpochRecord, Hold, HoldKey, PermitKey, Record};
use stint_store::PartitionId;
use stint_store::memory::Dump;

use super::Checker;
use super::money::{USD, money_changed, new_entries};
use crate::invariant::Invariant;

impl Checker {
    /// After a commit: no hold that an attempt was started with is gone before its worker has spoken, but for what was charged.
    /// It may go into doubt.
    pub(super) fn doubt_is_kept(&mut self, before: &Dump, dump: &Dump) {
        if self.rollbacks || !money_changed(before, dump) {
            return;
        }
        let is_gone = |key: &PermitKey| !dump.live.contains_key(&key::hold(&HoldKey::Permit(*key)).bytes);
        for (key, hold) in open(before).into_iter().filter(|(key, _)| is_gone(key)) {
            let charges = new_entries(before, dump, &hold.path).into_iter();
            let own = charges.filter(|e| e.kind == EntryKind::Charge && e.execution == Some(key.execution));
            let charged: u64 = own.map(|entry| entry.amounts.get(USD)).sum();
            if charged < hold.held.get(USD) && self.may_be_spending(key.execution, key.ask) {
                let held = hold.held.get(USD);
                let what = format!(
                    "{held} held at {} for ask {} of {} are free, and its call is not over",
                    hold.path, key.ask, key.execution
                );
                self.found(Invariant::Doubted, what);
            }
        }
    }

    /// Whether an attempt was started with an ask, and its worker has not said that it is over.
    fn may_be_spending(&self, id: ExecutionId, ask: u32) -> bool {
        let dump = self.store.dump(PartitionId(id.partition().0));
        let running = dump.live.get(&key::execution(id).bytes).and_then(|value| {
            match Record::decode(&key::execution(id).bytes, value).ok()? {
                Record::Execution(execution) => execution.lease.is_some().then_some(execution.spending),
                _ => None,
            }
        });
        let permits = running.flatten().map(|spending| spending.permits).unwrap_or_default();
        if permits.iter().flatten().any(|permit| permit.ask == ask) {
            return true;
        }
        let first = key::epoch(id, 0).bytes;
        let last = key::epoch(id, u32::MAX).bytes;
        let epochs = dump.cold.range(first..=last).map(|(_, value)| value);
        let epochs = epochs.filter_map(|value| minicbor::decode::<EpochRecord>(value).ok());
        epochs.into_iter().any(|epoch| !epoch.settled && epoch.asks.contains(&ask))
    }
}

/// Holds of attempts that nothing is in doubt of.
fn open(dump: &Dump) -> Vec<(PermitKey, Hold)> {
    let holds = dump.live.iter().filter(|(key, _)| key.first() == Some(&b'k'));
    let open = holds.filter_map(|(at, value)| match (key::read_hold(at), Record::decode(at, value).ok()?) {
        (Some(HoldKey::Permit(key)), Record::Hold(hold)) => (!hold.in_doubt()).then_some((key, *hold)),
        _ => None,
    });
    open.collect()
}
