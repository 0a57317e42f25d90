//! A budget is adjusted: what its ledger has is set right by an entry of its own, in the present period.

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::{Booked, book, queue};
use crate::event::EventKind;
use crate::key;
use crate::model::{Amounts, Charge, ChargeRecord, Entry, EntryKind, tree};

/// Set right what was spent at a path, once per id.
#[derive(Clone, Debug)]
pub struct Adjust {
    /// The namespace.
    pub namespace: String,
    /// The path.
    pub path: String,
    /// Its id, among those of charges.
    pub id: String,
    /// Added to what is used.
    pub more: Amounts,
    /// Taken from what is used.
    pub less: Amounts,
    /// Why, for people.
    pub reason: Option<String>,
}

impl Adjust {
    pub(in super::super) fn cold_keys(&self) -> Vec<key::Key> {
        vec![self.record()]
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, path) = (self.namespace.as_str(), self.path.as_str());
        let less = self.less.iter().map(|(dimension, amount)| format!("{dimension}={amount},"));
        let body = Charge {
            model: Some(format!("adjustment by -{}", less.collect::<String>())),
            ..Charge::new(&self.id, self.more.clone())
        };
        let body = body.body();
        if let Some(record) = context.decode::<ChargeRecord>(&self.record())? {
            if record.body != body || record.path != path {
                return Err(Refusal::ChargeConflict { charge: self.id.clone() });
            }
            return Ok(Outcome::Booked(Booked { seq: record.seq, existed: true, ..Booked::default() }));
        }
        if context.partition.budget(namespace, path).is_none() {
            return Err(Refusal::BudgetNotFound { path: self.path.clone() });
        }
        book::roll(context, namespace, path)?;
        let now = context.now();
        if !self.more.is_zero() {
            book::add(context, namespace, path, &self.more)?;
        }
        if !self.less.is_zero() {
            // It counts now, wherever what it sets right did.
            book::take_off(context, namespace, path, &self.less);
        }
        let entry = Entry {
            charge_id: Some(self.id.clone()),
            less: Some(self.less.clone()).filter(|less| !less.is_zero()),
            step: self.reason.clone(),
            ..Entry::new(now, EntryKind::Adjustment, path, self.more.clone())
        };
        let seq = book::append(context, namespace, &entry);
        let record = ChargeRecord {
            seq,
            at: now,
            body,
            path: self.path.clone(),
            refunded: None,
            // It is no charge that could be given back.
            quarantined: None,
            amounts: Amounts::default(),
            execution: None,
            unpriced: None,
        };
        context.put_cold(self.record(), record.encode());
        context.event_of_budget(namespace, path, EventKind::BudgetAdjusted);
        queue::grant_waiting(context, namespace, path);
        Ok(Outcome::Booked(Booked { seq, ..Booked::default() }))
    }

    fn record(&self) -> key::Key {
        key::charge(&self.namespace, tree(&self.path), &self.id)
    }
}
