//! What an attempt keeps in mind of its money: numbers for what it says, and what its steps count on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stint_api::Amounts;

/// Numbers what an attempt says of money, and knows which of it is promised to the steps that run now: two that run side by
/// side must not count on the same.
#[derive(Debug)]
pub(super) struct Purse {
    /// Tells the lease from all others of its execution.
    place: String,
    charges: AtomicU64,
    asks: AtomicU64,
    promised: Mutex<Promises>,
    /// Steps that run, and those that were dropped before their end: what they have called may still be spending.
    open: Mutex<BTreeSet<String>>,
}

/// By step, and by the budget's path if the step has named one.
type Promises = BTreeMap<(String, Option<String>), Amounts>;

/// A step that runs. Its promises end when it does, however it ends.
pub(super) struct OpenStep<'a> {
    purse: &'a Purse,
    step: &'a str,
    /// An earlier run of it in this attempt was dropped.
    was_open: bool,
}

impl Purse {
    pub(super) fn new(place: String) -> Self {
        Self {
            place,
            charges: AtomicU64::new(0),
            asks: AtomicU64::new(0),
            promised: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// An id that no other charge of the execution has, after its own.
    pub(super) fn next_charge(&self) -> String {
        format!("{}/{}", self.place, self.charges.fetch_add(1, Ordering::Relaxed))
    }

    /// An id that no other ask of the execution has.
    pub(super) fn next_ask(&self) -> String {
        format!("{}.{}", self.place, self.asks.fetch_add(1, Ordering::Relaxed))
    }

    /// What has to be held for `amounts` to be there beside what is promised to other steps. Promised to a step is what it
    /// asked for last, with what was added, less what it has spent since.
    pub(super) fn promise(&self, step: Option<&str>, path: Option<&str>, amounts: &Amounts) -> Amounts {
        let mut promised = self.promised();
        let mut sum = amounts.clone();
        let others = promised.iter().filter(|((other, at), _)| {
            // One that names no path has only the one budget.
            Some(other.as_str()) != step && (at.is_none() || path.is_none() || at.as_deref() == path)
        });
        for (dimension, amount) in others.flat_map(|(_, amounts)| &amounts.0) {
            if let Some(sum) = sum.0.get_mut(dimension) {
                *sum = sum.saturating_add(*amount);
            }
        }
        if let Some(step) = step {
            promised.insert((step.to_owned(), path.map(str::to_owned)), amounts.clone());
        }
        sum
    }

    /// A step was given so much more.
    pub(super) fn extended(&self, step: &str, path: Option<&str>, more: &Amounts) {
        let mut promised = self.promised();
        let own = promised.entry((step.to_owned(), path.map(str::to_owned))).or_default();
        for (dimension, amount) in &more.0 {
            let sum = own.0.entry(dimension.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    /// A step was refused what it asked for.
    pub(super) fn refused(&self, step: Option<&str>, path: Option<&str>) {
        if let Some(step) = step {
            self.promised().remove(&(step.to_owned(), path.map(str::to_owned)));
        }
    }

    /// A step has spent: that is not held any more.
    pub(super) fn spent(&self, step: &str, spent: &Amounts) {
        for ((_, _), amounts) in self.promised().iter_mut().filter(|((of, _), _)| of == step) {
            for (dimension, amount) in &mut amounts.0 {
                *amount = amount.saturating_sub(spent.get(dimension));
            }
        }
    }

    pub(super) fn open<'a>(&'a self, step: &'a str) -> OpenStep<'a> {
        OpenStep { purse: self, step, was_open: !self.open_steps().insert(step.to_owned()) }
    }

    /// Whether a step has not come to its end, so that nobody knows whether it still spends.
    pub(super) fn has_open_steps(&self) -> bool {
        !self.open_steps().is_empty()
    }

    fn open_steps(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promised(&self) -> MutexGuard<'_, Promises> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenStep<'_> {
    /// It has come to its end. With a result, so has what an earlier run of it began: both had the same key.
    pub(super) fn close(self, with_result: bool) {
        if with_result || !self.was_open {
            self.purse.open_steps().remove(self.step);
        }
    }
}

impl Drop for OpenStep<'_> {
    fn drop(&mut self) {
        self.purse.promised().retain(|(step, _), _| step != self.step);
    }
}
