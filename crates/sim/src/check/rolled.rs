//! Long after everything has ended: entries are gone, and what they came to is not.

use bytes::Bytes;
use stint_core::model::{Entry, LedgerMark, Record, RollUp, WindowKind, is_under, tree};
use stint_core::{Key, key};
use stint_store::memory::Dump;
use stint_store::{PARTITIONS, PartitionId};

use super::Checker;
use crate::invariant::Invariant;

/// The one dimension.
const USD: &str = "usd";

impl Checker {
    /// What a report adds up is what windows that never began anew have used. How many entries are left.
    pub(crate) fn roll_ups_agree(&mut self) -> usize {
        let dumps: Vec<Dump> = (0..PARTITIONS).map(|p| self.store.dump(PartitionId(p))).collect();
        let (mut wrong, mut left) = (Vec::new(), 0);
        for dump in &dumps {
            left += dump.ordered.keys().filter(|key| key.first() == Some(&b'j')).count();
            for (path, used) in totals(dump) {
                let spent = reported(dump, &path);
                if spent != i128::from(used) {
                    wrong.push(format!("{path} has used {used}, a report of it says {spent}"));
                }
            }
        }
        for what in wrong {
            self.found(Invariant::Books, what);
        }
        left
    }
}

/// What each budget's `total` windows have used, of those that count from the beginning.
fn totals(dump: &Dump) -> Vec<(String, u64)> {
    let mut totals = Vec::new();
    for (at, value) in dump.live.iter().filter(|(key, _)| key.first() == Some(&b'd')) {
        let path = at.get(1..).and_then(|name| std::str::from_utf8(name).ok()?.split_once('\0'));
        let (Some((_, path)), Ok(Record::Budget(budget))) = (path, Record::decode(at, value)) else {
            continue;
        };
        let key = key::counters("default", path).bytes;
        let Some(Ok(Record::Counters(counters))) = dump.live.get(&key).map(|v| Record::decode(&key, v))
        else {
            continue;
        };
        for window in budget.windows.iter().filter(|window| window.kind == WindowKind::Total) {
            let counter = counters.window(&window.name).filter(|counter| counter.since == 0);
            let used = counter.map(|counter| counter.periods.iter().map(|period| period.used.get(USD)).sum());
            totals.extend(used.map(|used| (path.to_owned(), used)));
        }
    }
    totals
}

/// Days, hours that are no days yet, and entries that are in neither.
fn reported(dump: &Dump, path: &str) -> i128 {
    let key = key::ledger_mark("default", tree(path)).bytes;
    let mark = match dump.live.get(&key).map(|value| Record::decode(&key, value)) {
        Some(Ok(Record::LedgerMark(mark))) => *mark,
        _ => LedgerMark::default(),
    };
    let rows = |prefix: Bytes| {
        let rows = dump.ordered.iter().filter(move |(key, _)| key.starts_with(&prefix));
        rows.map(|(key, value)| (key.clone(), value.clone()))
    };
    // Without the day or hour: all of the tree.
    let all = |key: Key| key.bytes.slice(..key.bytes.len() - 8);
    let days = rows(all(key::day_roll_ups("default", tree(path), 0)));
    let days = days.filter(|(at, _)| key::read_roll_up(at).is_some_and(|at| at < mark.folded));
    let hours = rows(all(key::hour_roll_ups("default", tree(path), 0)));
    let hours =
        hours.filter(|(at, _)| key::read_roll_up(at).is_some_and(|at| at >= mark.folded && at < mark.until));
    let rolled = days.chain(hours).filter_map(|(_, value)| minicbor::decode::<RollUp>(&value).ok());
    let entries = rows(key::ledger("default", tree(path)).bytes);
    let entries = entries.filter(|(at, _)| key::read_entry(at).is_some_and(|seq| seq > mark.until_seq));
    let entries = entries.filter_map(|(_, value)| RollUp::of(0, &minicbor::decode::<Entry>(&value).ok()?));
    let usd = |sums: &stint_core::model::Wide| -> i128 {
        sums.iter().filter(|(dimension, _)| *dimension == USD).map(|(_, sum)| sum as i128).sum()
    };
    let own = rolled.chain(entries).filter(|row| is_under(&row.of.path, path));
    own.map(|row| usd(&row.spent) - usd(&row.refunded)).sum()
}
