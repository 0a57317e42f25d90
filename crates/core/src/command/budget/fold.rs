//! Roll-ups of hours that are past the ledger's retention are folded into days, in which executions are not told apart.
//!
//! First the days are made, behind the mark `folded`, where nobody reads them; the mark moves over a day when all of it is in
//! there; then the hours before the mark go. So at any time every hour is read once: by itself or in its day.

use std::collections::BTreeMap;

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::roll_up::{add, decode, put_mark, read_all};
use crate::Millis;
use crate::key::{self, Key};
use crate::model::{RollUp, SpendOf, day};

/// Fold roll-ups of hours into days.
#[derive(Clone, Debug)]
pub struct FoldLedger {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
    /// The next roll-ups before the day `to`, in order.
    pub rows: Vec<Key>,
    /// The horizon when they were read.
    pub to: Millis,
    /// There are no more of them.
    pub end: bool,
}

/// Drop roll-ups of hours that are in their days.
#[derive(Clone, Debug)]
pub struct SweepLedger {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
    /// The first roll-ups before the day `to`.
    pub rows: Vec<Key>,
    /// Up to where hours were folded when they were read.
    pub to: Millis,
    /// There are no more of them.
    pub end: bool,
}

impl FoldLedger {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let mut mark = context.partition.ledger_mark(namespace, tree);
        let done = Outcome::LedgerDone { processed: 0, more: false };
        let horizon = context.partition.ledger_horizon(namespace, tree, context.now());
        if self.to > horizon || self.to <= mark.folded {
            return Ok(done);
        }
        let hours: Vec<(&Key, Millis)> = self
            .rows
            .iter()
            .filter(|key| mark.cursor.as_ref().is_none_or(|cursor| key.bytes[..] > cursor[..]))
            .filter_map(|key| Some((key, key::read_roll_up(&key.bytes)?)))
            .filter(|(_, at)| *at >= mark.folded && *at < self.to)
            .collect();
        let values = read_all(context, hours.iter().map(|(key, _)| *key))?;
        let mut days: BTreeMap<Key, RollUp> = BTreeMap::new();
        let mut processed = 0;
        for ((key, at), value) in hours.into_iter().zip(values) {
            let missing = || Refusal::Corrupt(format!("a roll-up of {tree} is missing"));
            let mut row: RollUp = decode(&value.ok_or_else(missing)?)?;
            row.of = SpendOf { execution: None, ..row.of };
            // The days before are whole.
            mark.folded = mark.folded.max(day(at));
            mark.cursor = Some(key.bytes.to_vec());
            processed += 1;
            let day = key::day_roll_up(namespace, tree, day(at), &row.of.hash());
            match days.get_mut(&day) {
                Some(sum) => sum.add(&row),
                None => _ = days.insert(day, row),
            }
        }
        if processed == 0 && !self.end {
            return Ok(done);
        }
        if self.end {
            (mark.folded, mark.cursor) = (self.to, None);
        }
        add(context, days)?;
        put_mark(context, namespace, tree, mark);
        Ok(Outcome::LedgerDone { processed, more: !self.end })
    }

    pub(in super::super) fn cold_keys(&self) -> Vec<Key> {
        self.rows.clone()
    }
}

impl SweepLedger {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let mut mark = context.partition.ledger_mark(namespace, tree);
        if self.to > mark.folded || self.to <= mark.swept {
            return Ok(Outcome::LedgerDone { processed: 0, more: false });
        }
        let is_folded = |key: &&Key| key::read_roll_up(&key.bytes).is_some_and(|at| at < self.to);
        let mut processed = 0;
        for key in self.rows.iter().filter(is_folded) {
            context.delete_cold(key.clone());
            processed += 1;
        }
        if self.end {
            mark.swept = self.to;
            put_mark(context, namespace, tree, mark);
        }
        Ok(Outcome::LedgerDone { processed, more: !self.end })
    }
}
