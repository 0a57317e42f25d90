//! Breaches latch: a budget that has used more than its limit stays breached until it has room again, and grants nothing.

use std::collections::BTreeSet;

use bytes::Bytes;
use stint_core::model::{Record, is_under};
use stint_store::memory::Dump;

use super::Checker;
use super::money::{Standing, money_changed, standings};
use crate::invariant::Invariant;

impl Checker {
    /// After a commit. Where writes are lost, attempts that nobody knew of get their holds back whatever is breached.
    pub(super) fn breaches_latch(&mut self, before: &Dump, dump: &Dump) {
        if !money_changed(before, dump) {
            return;
        }
        let (was, is) = (standings(before), standings(dump));
        let mut wrong = Vec::new();
        for at in &is {
            let Some(limit) = at.limit() else { continue };
            if at.breached != (at.used > limit) {
                let said = if at.breached { "breached" } else { "not breached" };
                wrong.push(format!("budget {} has used {} of {limit} and is {said}", at.path, at.used));
            }
        }
        let breached = |all: &[Standing]| -> BTreeSet<String> {
            all.iter().filter(|at| at.breached).map(|at| at.path.clone()).collect()
        };
        let (was, is) = (breached(&was), breached(&is));
        let granted = if self.rollbacks { Vec::new() } else { new_holds(before, dump) };
        for path in granted {
            if let Some(over) = was.intersection(&is).find(|over| is_under(&path, over)) {
                wrong.push(format!("something was granted at {path} while {over} was breached"));
            }
        }
        for what in wrong {
            self.found(Invariant::Latched, what);
        }
    }
}

/// Where there are holds that were not there before.
fn new_holds(before: &Dump, dump: &Dump) -> Vec<String> {
    let (from, to) = (Bytes::from_static(b"k"), Bytes::from_static(b"l"));
    let new = dump.live.range(from..to).filter(|(key, _)| !before.live.contains_key(*key));
    let path = |(at, value): (&Bytes, &Bytes)| match Record::decode(at, value).ok()? {
        Record::Hold(hold) => Some(hold.path),
        _ => None,
    };
    new.filter_map(path).collect()
}
