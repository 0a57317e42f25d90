//! Ledgers of trees that live here, and what there is to do with them.

use super::Partition;
use crate::Millis;
use crate::key::{self, Key, Table};
use crate::model::{LEDGER_RETENTION_MS, LedgerMark, Record, day, hour};

/// A tree's ledger with something to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerWork {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
    /// There are entries that are not rolled up.
    pub rolls: bool,
    /// Roll-ups from this key on and before this day are to be folded.
    pub folds: Option<(Key, Millis)>,
    /// Roll-ups of hours before this day are to go.
    pub sweeps: Option<Millis>,
    /// There are entries that may have to go.
    pub trims: bool,
}

impl Partition {
    /// The last entry of a tree's ledger.
    pub fn ledger_seq(&self, namespace: &str, tree: &str) -> u64 {
        match self.other(&key::tree(namespace, tree)) {
            Some(Record::Tree(record)) => record.seq,
            _ => 0,
        }
    }

    /// How far a tree's ledger is rolled up and trimmed.
    pub fn ledger_mark(&self, namespace: &str, tree: &str) -> LedgerMark {
        match self.other(&key::ledger_mark(namespace, tree)) {
            Some(Record::LedgerMark(mark)) => LedgerMark::clone(mark),
            _ => LedgerMark::default(),
        }
    }

    /// The day before which a tree's ledger is past its retention, as far as all of it is rolled up.
    pub fn ledger_horizon(&self, namespace: &str, tree: &str, now: Millis) -> Millis {
        let kept = self.namespace(namespace).and_then(|settings| settings.ledger_retention_ms);
        let mark = self.ledger_mark(namespace, tree);
        let is_rolled = mark.rolled == self.ledger_seq(namespace, tree);
        let closed = if is_rolled { hour(now) } else { mark.until };
        day(closed.min(now.saturating_sub(kept.unwrap_or(LEDGER_RETENTION_MS))))
    }

    /// Ledgers with something to do.
    pub fn ledger_work(&self, now: Millis) -> Vec<LedgerWork> {
        let ledgers = self.others(b't').filter_map(|(at, _)| key::path_name(b't', at));
        ledgers.filter_map(|(namespace, tree)| self.work_of(namespace, tree, now)).collect()
    }

    /// What there is to do with one; none if there is nothing.
    pub fn work_of(&self, namespace: &str, tree: &str, now: Millis) -> Option<LedgerWork> {
        let mark = self.ledger_mark(namespace, tree);
        let horizon = self.ledger_horizon(namespace, tree, now);
        let from = || match &mark.cursor {
            Some(cursor) => Key { table: Table::Ordered, bytes: [&cursor[..], &[0]].concat().into() },
            None => key::hour_roll_ups(namespace, tree, mark.folded),
        };
        let work = LedgerWork {
            namespace: namespace.to_owned(),
            tree: tree.to_owned(),
            rolls: mark.rolled < self.ledger_seq(namespace, tree) && mark.until < hour(now),
            folds: (mark.folded < horizon.min(mark.until)).then(|| (from(), horizon)),
            sweeps: (mark.swept < mark.folded).then_some(mark.folded),
            trims: mark.cleared < mark.folded,
        };
        let has_any = work.rolls || work.folds.is_some() || work.sweeps.is_some() || work.trims;
        has_any.then_some(work)
    }
}
