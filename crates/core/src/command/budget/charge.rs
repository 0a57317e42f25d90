//! What was spent: a fact, booked once by its id and in full, whatever the limits say.

use super::super::context::Context;
use super::super::permit::{Spent, priced, tell};
use super::super::{Outcome, Refusal};
use super::queue::grant_waiting;
use super::{book, queue, room, states};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{ExecutionId, HoldId};
use crate::key;
use crate::model::{
    Amounts, Charge, ChargeRecord, EndedHold, Entry, EntryKind, Hold, HoldKey, Message, OnHard, PermitCharge,
    Record, Shortfall, levels, tree,
};

/// How a charge was booked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Booked {
    /// Its entry's place in the ledger.
    pub seq: u64,
    /// It was booked before, under the same id.
    pub existed: bool,
    /// It was somebody else who said it before.
    pub elsewhere: bool,
    /// The limit that it went beyond, if it did.
    pub over: Option<Shortfall>,
    /// A budget on the way is breached.
    pub breached: bool,
    /// Kept aside: its model has no price, there is no budget any more, or its id stands for another charge.
    pub quarantined: bool,
    /// The hold was over.
    pub late: bool,
    /// How much it was.
    pub amounts: Amounts,
    /// The version of the price table that priced it, unless it existed.
    pub prices: Option<u64>,
}

/// Book a charge on a path, without a hold.
#[derive(Clone, Debug)]
pub struct ChargeBudget {
    /// The namespace.
    pub namespace: String,
    /// The path of a budget.
    pub path: String,
    /// The charge's id, within the tree.
    pub id: String,
    /// How much.
    pub spent: Spent,
}

/// Book a charge on a hold without a lease; a hold that is over does not keep it from being booked.
#[derive(Clone, Debug)]
pub struct ChargeHold {
    /// The hold.
    pub hold: HoldId,
    /// The charge's id, within the tree.
    pub id: String,
    /// How much.
    pub spent: Spent,
}

/// Book a charge that an execution's partition has recorded, to know how the budget stands: its message is on the way too,
/// and whichever comes first is the one.
#[derive(Clone, Debug)]
pub struct BookCharge {
    /// As it was sent.
    pub charge: PermitCharge,
}

/// Give back what a charge took.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The namespace.
    pub namespace: String,
    /// The path of a budget of the tree.
    pub path: String,
    /// The refund's own id.
    pub id: String,
    /// Which charge.
    pub charge_id: String,
    /// How much of it.
    pub amounts: Amounts,
}

impl ChargeBudget {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        if context.partition.budget(&self.namespace, &self.path).is_none() {
            let not_found = Refusal::BudgetNotFound { path: self.path.clone() };
            return known(context, &self.namespace, &self.path, &self.id, &self.spent, not_found);
        }
        let charge = &match priced(context, &self.namespace, &self.id, &self.spent) {
            Ok(charge) => charge,
            Err(refusal) => {
                return known(context, &self.namespace, &self.path, &self.id, &self.spent, refusal);
            }
        };
        let booking = Booking { namespace: &self.namespace, path: &self.path, charge, execution: None };
        Ok(Outcome::Booked(booking.book(context, None, false)?))
    }
}

impl ChargeHold {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = HoldKey::Free(self.hold);
        // One that is over does not keep the charge from being booked where it was.
        let (namespace, path, late) = match context.partition.hold(&at) {
            Some(hold) => (hold.namespace.clone(), hold.path.clone(), hold.in_doubt()),
            None => match context.decode::<EndedHold>(&key::ended_hold(self.hold))? {
                Some(ended) => (ended.namespace, ended.path, true),
                None => return Err(Refusal::HoldNotFound { hold: self.hold }),
            },
        };
        let charge = &match priced(context, &namespace, &self.id, &self.spent) {
            Ok(charge) => charge,
            Err(refusal) => {
                return known(context, &namespace, &path, &self.id, &self.spent, refusal);
            }
        };
        let booking = Booking { namespace: &namespace, path: &path, charge, execution: None };
        Ok(Outcome::Booked(booking.book(context, Some(at), late)?))
    }
}

impl BookCharge {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        book_or_keep(context, &self.charge).map(Outcome::Booked)
    }
}

/// A charge comes from an execution's partition. It can't be refused: what can't be booked is kept aside.
pub(in super::super) fn deliver(context: &mut Context<'_>, charge: &PermitCharge) -> Result<(), Refusal> {
    match book_or_keep(context, charge) {
        Err(cold @ Refusal::Cold(_)) => Err(cold),
        // One about a record that can't be read does not hold up those behind it.
        _ => Ok(()),
    }
}

fn book_or_keep(context: &mut Context<'_>, charge: &PermitCharge) -> Result<Booked, Refusal> {
    match book_permit(context, charge) {
        Err(Refusal::AmountOverflow { .. }) => {
            let aside = Charge { unpriced: Some(true), ..charge.charge.clone() };
            book_permit(context, &PermitCharge { charge: aside, ..charge.clone() })
        }
        other => other,
    }
}

/// What was booked under this id before, although what is said now is refused: prices and budgets may be gone since.
fn known(
    context: &Context<'_>,
    namespace: &str,
    path: &str,
    id: &str,
    spent: &Spent,
    refusal: Refusal,
) -> Result<Outcome, Refusal> {
    let at = key::charge(namespace, tree(path), id);
    let record = context.decode::<ChargeRecord>(&at)?.ok_or(refusal)?;
    if record.body != spent.said() || record.path != path {
        return Err(Refusal::ChargeConflict { charge: id.to_owned() });
    }
    Ok(Outcome::Booked(standing(context, namespace, None, record)))
}

fn book_permit(context: &mut Context<'_>, sent: &PermitCharge) -> Result<Booked, Refusal> {
    let execution = Some(sent.key.execution);
    let booking = Booking { namespace: &sent.namespace, path: &sent.path, charge: &sent.charge, execution };
    booking.book(context, Some(HoldKey::Permit(sent.key)), sent.late)
}

struct Booking<'a> {
    namespace: &'a str,
    path: &'a str,
    charge: &'a Charge,
    execution: Option<ExecutionId>,
}

impl Booking<'_> {
    fn book(&self, context: &mut Context<'_>, hold: Option<HoldKey>, late: bool) -> Result<Booked, Refusal> {
        let Self { namespace, path, charge, .. } = self;
        let mut at = key::charge(namespace, tree(path), &charge.id);
        let body = charge.body();
        let mut priced_now = false;
        let mut aside = charge.unpriced == Some(true)
            || !levels(path).any(|level| context.partition.budget(namespace, level).is_some());
        let known = match context.present_or_assert_absent(&at) {
            true => context.decode::<ChargeRecord>(&at),
            false => Ok(None),
        };
        let stands_for_another = match &known {
            // An execution's charge is a fact that nobody says again: it is not lost with the record of its id.
            Err(Refusal::Corrupt(_)) => self.execution.is_some(),
            Ok(Some(record)) => !self.is_same(record, &body),
            _ => false,
        };
        if stands_for_another {
            let conflict = || Refusal::ChargeConflict { charge: charge.id.clone() };
            let execution = self.execution.ok_or_else(conflict)?;
            at = key::charge_aside(namespace, tree(path), &charge.id, execution);
            aside = true;
            if let Some(record) = context.decode::<ChargeRecord>(&at)? {
                return Ok(standing(context, namespace, self.execution, record));
            }
        } else if let Some(record) = known? {
            priced_now = record.quarantined == Some(true) && !aside;
            if !priced_now {
                return Ok(standing(context, namespace, self.execution, record));
            }
        }
        let now = context.now();
        let mut booked = Booked {
            quarantined: aside,
            late,
            amounts: charge.amounts.clone(),
            prices: charge.prices,
            ..Booked::default()
        };
        if !aside {
            book::roll(context, namespace, path)?;
            book::add(context, namespace, path, &charge.amounts)?;
        }
        let kind = if aside { EntryKind::Quarantined } else { EntryKind::Charge };
        let entry = Entry {
            charge_id: Some(charge.id.clone()),
            execution: self.execution,
            attempt: charge.attempt,
            execution_kind: charge.kind.clone(),
            step: charge.step.clone(),
            model: charge.model.clone(),
            prices: charge.prices,
            late: late.then_some(true),
            ..Entry::new(now, kind, path, charge.amounts.clone())
        };
        booked.seq = book::append(context, namespace, &entry);
        let record = ChargeRecord {
            seq: booked.seq,
            at: now,
            body,
            path: (*path).to_owned(),
            refunded: None,
            quarantined: aside.then_some(true),
            amounts: charge.amounts.clone(),
            execution: self.execution,
            unpriced: charge.unpriced,
        };
        context.put_cold(at, record.encode());
        if aside {
            context.event_of_budget(namespace, path, EventKind::ChargeQuarantined);
            return Ok(booked);
        }
        let rest = match hold {
            Some(hold) => self.take(context, hold)?,
            None => charge.amounts.clone(),
        };
        states::committed(context, namespace, path);
        booked.over = room::exceeded(context.partition, namespace, path, &rest, now);
        booked.breached = is_breached(context, namespace, path);
        if let (Some(HoldKey::Permit(key)), Some(shortfall)) = (hold, &booked.over) {
            self.stop_short(context, key, &rest, shortfall);
        }
        if priced_now {
            context.event_of_budget(namespace, path, EventKind::BudgetChanged);
        }
        // What an attempt spends is an event of its execution.
        if self.execution.is_none() {
            context.event_of_budget(namespace, path, EventKind::BudgetCharged);
        }
        Ok(booked)
    }

    /// Whether a charge that was booked under the same id is this one.
    fn is_same(&self, record: &ChargeRecord, body: &[u8]) -> bool {
        // An execution's partition knows its own charges by their ids: it is the same one, whatever it is priced at.
        let own = self.execution.is_some() && record.execution == self.execution;
        let says_the_same =
            record.body[..] == *body || (record.unpriced == Some(true) && self.charge.usage.is_none());
        own || (says_the_same && record.path == self.path)
    }

    /// Takes the charge out of its hold, and of what an earlier lease of the execution left in doubt if it repeats that
    /// lease's step; says what neither had.
    fn take(&self, context: &mut Context<'_>, at: HoldKey) -> Result<Amounts, Refusal> {
        let mut rest = self.charge.amounts.clone();
        if self.charge.repeats == Some(true)
            && let Some(execution) = self.execution
        {
            let doubtful: Vec<(HoldKey, Hold)> = context
                .partition
                .permits_of(execution)
                .filter(|(_, hold)| hold.in_doubt() && hold.path == self.path)
                .map(|(key, hold)| (HoldKey::Permit(key), hold.clone()))
                .collect();
            for (key, mut hold) in doubtful {
                let part = hold.held.at_most(&rest);
                hold.held.take(&part);
                rest.take(&part);
                let hold = (!hold.held.is_zero()).then(|| Record::Hold(Box::new(hold)));
                context.put_record(key::hold(&key), hold);
            }
        }
        if let Some(mut hold) = context.partition.hold(&at).cloned() {
            let part = hold.held.at_most(&rest);
            hold.held.take(&part);
            rest.take(&part);
            // An overflow was refused by the counters, which are never less.
            _ = hold.charged.add(&self.charge.amounts);
            if hold.in_doubt() && hold.held.is_zero() {
                queue::forget(context, at, &hold);
            } else {
                context.put_record(key::hold(&at), Some(Record::Hold(Box::new(hold))));
            }
        }
        Ok(rest)
    }

    /// It has spent what was neither held for it nor free: it has to stop until it is.
    fn stop_short(
        &self,
        context: &mut Context<'_>,
        key: crate::model::PermitKey,
        rest: &Amounts,
        shortfall: &Shortfall,
    ) {
        let is_open = context.partition.hold(&HoldKey::Permit(key)).is_some_and(|hold| !hold.in_doubt());
        let Some(budget) = context.partition.budget(self.namespace, &shortfall.path) else { return };
        let (on_hard, grace_ms) = (budget.on_hard(), budget.stop_grace_ms());
        if is_open && on_hard != OnHard::Block {
            // It is spent: more than the limit, which nobody could ever hold, is not what it waits for.
            let (dimension, now) = (shortfall.dimension.as_str(), context.now());
            let tightest = room::tightest(context.partition, self.namespace, self.path, dimension, now);
            let most = tightest.map_or(shortfall.missing, |limit| shortfall.missing.min(limit));
            let missing = rest.at_most(&Amounts::of([(dimension, most)]));
            let shortfall = shortfall.clone();
            let message = Message::Short { key, missing, shortfall, on_hard, grace_ms, promised: None };
            tell(context, key.execution.partition(), message);
        }
    }
}

/// A charge that was booked before: how its budget stands now.
fn standing(
    context: &Context<'_>,
    namespace: &str,
    execution: Option<ExecutionId>,
    record: ChargeRecord,
) -> Booked {
    let breached = is_breached(context, namespace, &record.path);
    let over = if breached {
        room::exceeded(context.partition, namespace, &record.path, &record.amounts, context.now())
    } else {
        None
    };
    Booked {
        seq: record.seq,
        existed: true,
        elsewhere: record.execution != execution,
        over,
        breached,
        quarantined: record.quarantined == Some(true),
        amounts: record.amounts,
        ..Booked::default()
    }
}

fn is_breached(context: &Context<'_>, namespace: &str, path: &str) -> bool {
    let counters = |level| context.partition.counters(namespace, level);
    levels(path).filter_map(counters).any(|counters| counters.breached == Some(true))
}

impl Refund {
    pub(in super::super) fn cold_keys(&self) -> Vec<key::Key> {
        let tree = tree(&self.path);
        [&self.id, &self.charge_id].map(|id| key::charge(&self.namespace, tree, id)).into()
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, tree) = (self.namespace.as_str(), tree(&self.path));
        let own = key::charge(namespace, tree, &self.id);
        let body = Charge {
            model: Some(format!("refund of {}", self.charge_id)),
            ..Charge::new(&self.id, self.amounts.clone())
        };
        let body = body.body();
        if let Some(record) = context.decode::<ChargeRecord>(&own)? {
            if record.body != body {
                return Err(Refusal::ChargeConflict { charge: self.id.clone() });
            }
            return Ok(Outcome::Booked(Booked { seq: record.seq, existed: true, ..Booked::default() }));
        }
        let at = key::charge(namespace, tree, &self.charge_id);
        let is_whole = context.partition.ledger_mark(namespace, tree).trimmed == 0;
        let charge = || self.charge_id.clone();
        let not_found = || match is_whole {
            true => Refusal::ChargeNotFound { charge: charge() },
            false => Refusal::ChargeNotKept { charge: charge() },
        };
        let mut charge = context.decode::<ChargeRecord>(&at)?.ok_or_else(not_found)?;
        if charge.quarantined == Some(true) || !crate::model::is_under(&charge.path, &self.path) {
            return Err(not_found());
        }
        let mut refunded = charge.refunded.clone().unwrap_or_default();
        let overflow = |overflow: crate::model::AmountOverflow| Refusal::AmountOverflow {
            dimension: overflow.dimension,
        };
        refunded.add(&self.amounts).map_err(overflow)?;
        if !charge.amounts.covers(&refunded) {
            return Err(Refusal::RefundTooLarge { charge: self.charge_id.clone() });
        }
        // It is told of whom and of what the charge was.
        let of = context.decode::<Entry>(&key::entry(namespace, tree, charge.seq))?;
        let of =
            of.unwrap_or_else(|| Entry::new(charge.at, EntryKind::Charge, &charge.path, Amounts::default()));
        let now: Millis = context.now();
        charge.refunded = Some(refunded);
        context.put_cold(at, charge.encode());
        book::refund(context, namespace, &charge.path, &self.amounts, (charge.seq, charge.at));
        let entry = Entry {
            charge_id: Some(self.id.clone()),
            booked_at: Some(charge.at),
            step: Some(self.charge_id.clone()),
            refunds: Some(charge.seq),
            execution: of.execution,
            attempt: of.attempt,
            execution_kind: of.execution_kind,
            model: of.model,
            ..Entry::new(now, EntryKind::Refund, &charge.path, self.amounts.clone())
        };
        let seq = book::append(context, namespace, &entry);
        let record = ChargeRecord {
            seq,
            at: now,
            body,
            path: charge.path.clone(),
            refunded: None,
            quarantined: None,
            amounts: Amounts::default(),
            execution: None,
            unpriced: None,
        };
        context.put_cold(own, record.encode());
        context.event_of_budget(namespace, &charge.path, EventKind::BudgetRefunded);
        grant_waiting(context, namespace, &charge.path);
        Ok(Outcome::Booked(Booked { seq, ..Booked::default() }))
    }
}
