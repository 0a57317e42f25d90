//! What an attempt keeps in mind of its money: numbers for what it says, and what its steps count on.

use std::collections::BTreeMap;
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
}

/// By step, and by the budget's path if the step has named one.
type Promises = BTreeMap<(String, Option<String>), Amounts>;

/// Ends a step's promises when the step does, however it ends.
pub(super) struct StepEnd<'a> {
    purse: &'a Purse,
    step: &'a str,
}

impl Purse {
    pub(super) fn new(place: String) -> Self {
        Self { place, charges: AtomicU64::new(0), asks: AtomicU64::new(0), promised: Mutex::default() }
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

    pub(super) fn until_its_end<'a>(&'a self, step: &'a str) -> StepEnd<'a> {
        StepEnd { purse: self, step }
    }

    fn promised(&self) -> MutexGuard<'_, Promises> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StepEnd<'_> {
    fn drop(&mut self) {
        self.purse.promised().retain(|(step, _), _| step != self.step);
    }
}
