//! Entries of hours that are over are rolled up, in the order of the ledger. Each is counted once: where this has come to
//! stands in the same batch as the sums.

use std::collections::BTreeMap;

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use crate::key::{self, Key};
use crate::model::{Entry, LedgerMark, Record, RollUp, day, hour};
use crate::partition::Partition;

/// Entries that one command rolls up.
const ENTRIES_MAX: u64 = 200;

/// Roll up the next entries of a tree's ledger.
#[derive(Clone, Debug)]
pub struct RollUpLedger {
    /// The namespace.
    pub namespace: String,
    /// The tree.
    pub tree: String,
}

impl RollUpLedger {
    pub(in super::super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let rolled = partition.ledger_mark(namespace, tree).rolled;
        let upto = partition.ledger_seq(namespace, tree).min(rolled.saturating_add(ENTRIES_MAX));
        (rolled.saturating_add(1)..=upto).map(|seq| key::entry(namespace, tree, seq)).collect()
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, tree) = (self.namespace.as_str(), self.tree.as_str());
        let mut mark = context.partition.ledger_mark(namespace, tree);
        let before = mark.rolled;
        let (open, seq) = (hour(context.now()), context.partition.ledger_seq(namespace, tree));
        if before == 0 && mark.folded == 0 && seq > 0 {
            // Before the first entry there is nothing to fold.
            let first = day(read_entry(context, namespace, tree, 1)?.at);
            (mark.folded, mark.swept, mark.cleared) = (first, first, first);
        }
        let mut rows: BTreeMap<Key, RollUp> = BTreeMap::new();
        let upto = seq.min(before.saturating_add(ENTRIES_MAX));
        let mut is_closed = upto == seq;
        for seq in before.saturating_add(1)..=upto {
            let entry = read_entry(context, namespace, tree, seq)?;
            let at = hour(entry.at);
            if at >= open {
                is_closed = true;
                break;
            }
            if at > mark.until {
                (mark.until, mark.until_seq) = (at, mark.rolled);
            }
            mark.rolled = seq;
            let Some(rolled) = RollUp::of(seq, &entry) else { continue };
            let key = key::hour_roll_up(namespace, tree, at, &rolled.of.hash());
            match rows.get_mut(&key) {
                Some(row) => row.add(&rolled),
                None => _ = rows.insert(key, rolled),
            }
        }
        let processed = mark.rolled - before;
        if processed == 0 {
            return Ok(Outcome::LedgerDone { processed: 0, more: false });
        }
        if is_closed && open > mark.until {
            (mark.until, mark.until_seq) = (open, mark.rolled);
        }
        add(context, rows)?;
        put_mark(context, namespace, tree, mark);
        Ok(Outcome::LedgerDone { processed, more: !is_closed })
    }
}

/// Adds sums to the roll-ups that they belong to.
pub(super) fn add(context: &mut Context<'_>, rows: BTreeMap<Key, RollUp>) -> Result<(), Refusal> {
    let known = read_all(context, rows.keys())?;
    for ((key, rolled), known) in rows.into_iter().zip(known) {
        let row = match known {
            None => rolled,
            Some(bytes) => {
                let mut row = decode::<RollUp>(&bytes)?;
                row.add(&rolled);
                row
            }
        };
        context.put_cold(key, row.encode());
    }
    Ok(())
}

/// Reads records; those that nobody has read yet are all asked for at once.
pub(super) fn read_all<'k>(
    context: &Context<'_>,
    keys: impl Iterator<Item = &'k Key>,
) -> Result<Vec<Option<bytes::Bytes>>, Refusal> {
    let (mut values, mut unread) = (Vec::new(), Vec::new());
    for key in keys {
        match context.read(key) {
            Ok(value) => values.push(value),
            Err(Refusal::Cold(keys)) => unread.extend(keys),
            Err(other) => return Err(other),
        }
    }
    if unread.is_empty() { Ok(values) } else { Err(Refusal::Cold(unread)) }
}

pub(super) fn decode<T>(bytes: &[u8]) -> Result<T, Refusal>
where
    T: for<'b> minicbor::Decode<'b, ()>,
{
    minicbor::decode(bytes).map_err(|error| Refusal::Corrupt(error.to_string()))
}

/// An entry that has to be there: one that is missing is never taken for nothing.
pub(super) fn read_entry(
    context: &Context<'_>,
    namespace: &str,
    tree: &str,
    seq: u64,
) -> Result<Entry, Refusal> {
    let entry = context.decode::<Entry>(&key::entry(namespace, tree, seq))?;
    entry.ok_or_else(|| Refusal::Corrupt(format!("entry {seq} of the ledger of {tree} is missing")))
}

pub(super) fn put_mark(context: &mut Context<'_>, namespace: &str, tree: &str, mark: LedgerMark) {
    let at = key::ledger_mark(namespace, tree);
    context.put_record(at, Some(Record::LedgerMark(Box::new(mark))));
}
