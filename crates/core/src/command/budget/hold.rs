//! Holds without a lease, for services that only want the budget; and extends of any hold.

use super::super::context::Context;
use super::super::permit::{Spent, tell};
use super::super::{Outcome, Refusal};
use super::{ChargeHold, book, queue, room};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::HoldId;
use crate::key;
use crate::model::{
    Amounts, EXTENDS_MAX, EndedHold, Extended, Hold, HoldKey, Message, OnHard, Record, Shortfall, is_under,
};

/// Set money aside without a lease.
#[derive(Clone, Debug)]
pub struct HoldBudget {
    /// Follows from the request's own id.
    pub id: HoldId,
    /// The namespace.
    pub namespace: String,
    /// The path of a budget.
    pub path: String,
    /// How much.
    pub amounts: Amounts,
    /// When it goes into doubt, unless it ends before; from now.
    pub ttl_ms: Millis,
}

/// A hold as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldView {
    /// Which.
    pub id: HoldId,
    /// What is left of it.
    pub held: Amounts,
    /// When it goes into doubt, or ends if it is.
    pub until: Option<Millis>,
    /// It expired without a word.
    pub in_doubt: bool,
    /// It is over.
    pub ended: bool,
}

/// Ask for more under a hold. Answers at once and never queues; asked again under the same id, the same.
#[derive(Clone, Debug)]
pub struct ExtendHold {
    /// Which hold.
    pub hold: HoldKey,
    /// The request's id.
    pub id: String,
    /// How much more.
    pub amounts: Amounts,
    /// Not so much more: only what the hold lacks of it.
    pub at_least: bool,
}

/// The answer to an extend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtendAnswer {
    /// Whether it is held now.
    pub granted: bool,
    /// What is in the way, if a limit is.
    pub shortfall: Option<Shortfall>,
    /// A cap of the execution is in the way.
    pub capped: bool,
}

/// End a hold without a lease, with what was spent under it.
#[derive(Clone, Debug)]
pub struct SettleHold {
    /// The hold.
    pub hold: HoldId,
    /// What was spent, by charge id.
    pub charges: Vec<(String, Spent)>,
}

/// How a hold was settled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// A budget on the way is above a limit.
    pub over: bool,
    /// Ids of charges that were booked before.
    pub duplicates: Vec<String>,
    /// Ids of charges that were kept aside.
    pub quarantined: Vec<String>,
}

/// End a hold without a lease: what is left is free.
#[derive(Clone, Debug)]
pub struct ReleaseHold {
    /// The hold.
    pub hold: HoldId,
}

impl HoldBudget {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = HoldKey::Free(self.id);
        if let Some(hold) = context.partition.hold(&at) {
            if hold.namespace != self.namespace || hold.path != self.path || hold.granted != self.amounts {
                return Err(Refusal::HoldConflict { hold: self.id });
            }
            return Ok(Outcome::Held(view(self.id, hold)));
        }
        if context.present_or_assert_absent(&key::ended_hold(self.id))
            && let Some(ended) = self.ended(context)?
        {
            return Ok(ended);
        }
        match self.set_aside(context) {
            // Before it is refused nothing is asserted: whether it was there before has to be read.
            Err(refusal) => self.ended(context)?.ok_or(refusal),
            held => held,
        }
    }

    /// The answer to a request that comes again when its hold is over: it makes no other.
    fn ended(&self, context: &Context<'_>) -> Result<Option<Outcome>, Refusal> {
        let Some(ended) = context.decode::<EndedHold>(&key::ended_hold(self.id))? else { return Ok(None) };
        if ended.path != self.path || ended.namespace != self.namespace || ended.granted != self.amounts {
            return Err(Refusal::HoldConflict { hold: self.id });
        }
        let held = Amounts::default();
        Ok(Some(Outcome::Held(HoldView { id: self.id, held, until: None, in_doubt: false, ended: true })))
    }

    fn set_aside(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = HoldKey::Free(self.id);
        let (namespace, path) = (self.namespace.as_str(), self.path.as_str());
        if context.partition.budget(namespace, path).is_none() {
            return Err(Refusal::BudgetNotFound { path: self.path.clone() });
        }
        book::roll(context, namespace, path)?;
        let now = context.now();
        if let Some(shortfall) = room::too_large(context.partition, namespace, path, &self.amounts, now) {
            return Err(Refusal::HoldTooLarge(Box::new(shortfall)));
        }
        // Executions that wait are not overtaken, though what they wait for may be more than this.
        let mut short = queue::grant_waiting(context, namespace, path).into_iter();
        let waited_for = short.find(|short| is_under(path, &short.path));
        let own = room::shortfall(context.partition, namespace, path, &self.amounts, now);
        if let Some(shortfall) = own.or(waited_for) {
            return Err(Refusal::BudgetExhausted(Box::new(shortfall)));
        }
        let hold = Hold {
            namespace: self.namespace.clone(),
            path: self.path.clone(),
            held: self.amounts.clone(),
            charged: Amounts::default(),
            kind: None,
            until: Some(now.saturating_add(self.ttl_ms)),
            in_doubt: None,
            extends: None,
            granted: self.amounts.clone(),
            cap: None,
            before: None,
            promised: None,
        };
        let held = view(self.id, &hold);
        context.put_record(key::hold(&at), Some(Record::Hold(Box::new(hold))));
        context.event_of_budget(namespace, path, EventKind::BudgetHeld);
        Ok(Outcome::Held(held))
    }
}

fn view(id: HoldId, hold: &Hold) -> HoldView {
    HoldView { id, held: hold.held.clone(), until: hold.until, in_doubt: hold.in_doubt(), ended: false }
}

impl ExtendHold {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let gone = || match self.hold {
            HoldKey::Free(hold) => Refusal::HoldNotFound { hold },
            HoldKey::Permit(_) => Refusal::LeaseLost,
        };
        let mut hold =
            context.partition.hold(&self.hold).filter(|hold| !hold.in_doubt()).cloned().ok_or_else(gone)?;
        if let Some(answered) = hold.extends.iter().flatten().find(|extend| extend.id == self.id) {
            let same = if self.at_least {
                self.amounts.covers(&answered.amounts)
            } else {
                self.amounts == answered.amounts
            };
            if !same {
                return Err(Refusal::ChargeConflict { charge: self.id.clone() });
            }
            let (granted, shortfall) = (answered.granted, answered.shortfall.clone());
            let capped = !granted && shortfall.is_none();
            return Ok(Outcome::Extended(ExtendAnswer { granted, shortfall, capped }));
        }
        // What it was stopped for the want of, and has waited for, is in the hold already.
        let promised = match &hold.promised {
            Some(promised) if !self.at_least => promised.at_most(&self.amounts).at_most(&hold.held),
            _ => Amounts::default(),
        };
        let more = self.amounts.less(if self.at_least { &hold.held } else { &promised });
        if more.is_zero() && promised.is_zero() {
            return Ok(Outcome::Extended(ExtendAnswer { granted: true, shortfall: None, capped: false }));
        }
        book::roll(context, &hold.namespace, &hold.path)?;
        let now = context.now();
        let overflow = |overflow: crate::model::AmountOverflow| Refusal::AmountOverflow {
            dimension: overflow.dimension,
        };
        // What is capped is what is spent: what was charged beyond the hold counts too.
        let mut bound = hold.charged.clone();
        bound.add(&hold.held).map_err(overflow)?;
        bound.add(&more).map_err(overflow)?;
        let capped = hold.cap.iter().flatten().any(|(dimension, cap)| bound.get(dimension) > *cap);
        let shortfall = match (context.partition.budget(&hold.namespace, &hold.path), self.hold) {
            (Some(_), _) => {
                room::shortfall_of_more(context.partition, &hold.namespace, &hold.path, &more, now)
            }
            // It was deleted although this was held under it: no budget is no limit that could be kept to.
            (None, HoldKey::Free(_)) => return Err(Refusal::BudgetNotFound { path: hold.path }),
            (None, HoldKey::Permit(_)) => Some(of_none(&hold.path, &more)),
        };
        let shortfall = shortfall.filter(|_| !capped);
        let given = !capped && shortfall.is_none();
        // What it must hold before it goes on: it is then where it was, with what it asks for on top.
        let mut missing = hold.held.clone();
        missing.add(&more).map_err(overflow)?;
        if given {
            hold.held = missing.clone();
            if let Some(left) = &mut hold.promised {
                left.take(&promised);
            }
        }
        let extends = hold.extends.get_or_insert_default();
        if extends.len() >= EXTENDS_MAX {
            extends.remove(0);
        }
        let answer = shortfall.clone();
        let asked = if self.at_least { more } else { self.amounts.clone() };
        extends.push(Extended { id: self.id.clone(), amounts: asked, granted: given, shortfall: answer });
        let (namespace, at) = (hold.namespace.clone(), key::hold(&self.hold));
        context.put_record(at, Some(Record::Hold(Box::new(hold))));
        if let (HoldKey::Permit(key), Some(shortfall)) = (self.hold, &shortfall)
            && let budget = context.partition.budget(&namespace, &shortfall.path).cloned().unwrap_or_default()
            && budget.on_hard() != OnHard::Block
        {
            let (on_hard, grace_ms) = (budget.on_hard(), budget.stop_grace_ms());
            let promised = (!self.at_least).then(|| self.amounts.clone());
            let shortfall = shortfall.clone();
            let short = Message::Short { key, missing, shortfall, on_hard, grace_ms, promised };
            tell(context, key.execution.partition(), short);
        }
        Ok(Outcome::Extended(ExtendAnswer { granted: given, shortfall, capped }))
    }
}

/// What is missing of a budget that is no more.
fn of_none(path: &str, more: &Amounts) -> Shortfall {
    let (dimension, missing) = more.iter().next().unwrap_or_default();
    let (path, dimension) = (path.to_owned(), dimension.to_owned());
    Shortfall { path, window: String::new(), dimension, limit: 0, used: 0, held: 0, missing, resets_at: None }
}

impl SettleHold {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let mut settled = Settled::default();
        for (n, (id, spent)) in self.charges.iter().enumerate() {
            let of_charge = |refusal| match refusal {
                whole @ (Refusal::Cold(_) | Refusal::HoldNotFound { .. }) => whole,
                refusal => Refusal::OfCharge { n, refusal: Box::new(refusal) },
            };
            let charge = ChargeHold { hold: self.hold, id: id.clone(), spent: spent.clone() };
            // The hold may be over, or end with its last unit while it is in doubt: what follows is a charge on the path.
            if let Outcome::Booked(booked) = charge.run(context).map_err(of_charge)? {
                settled.over |= booked.over.is_some() || booked.breached;
                settled.duplicates.extend(booked.existed.then(|| id.clone()));
                settled.quarantined.extend(booked.quarantined.then(|| id.clone()));
            }
        }
        end(context, self.hold);
        Ok(Outcome::Settled(settled))
    }
}

impl ReleaseHold {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        end(context, self.hold);
        Ok(Outcome::Done)
    }
}

fn end(context: &mut Context<'_>, hold: HoldId) {
    let at = HoldKey::Free(hold);
    if let Some(hold) = context.partition.hold(&at).cloned() {
        context.event_of_budget(&hold.namespace, &hold.path, EventKind::BudgetReleased);
        queue::release(context, at, &hold);
    }
}
