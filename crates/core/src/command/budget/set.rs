//! A budget is set, raised, topped up, deleted.

use super::super::context::Context;
use super::super::permit::tell;
use super::super::{Outcome, Refusal};
use super::{book, counters, estimates, ledger_seq, put_counters, queue, read, states};
use crate::Millis;
use crate::event::EventKind;
use crate::key;
use crate::model::{
    Amounts, Budget, Charge, Counters, Denial, Entry, EntryKind, Message, Record, TOP_UPS_MAX, TopUp,
    WindowCounter, tree,
};
use std::collections::BTreeMap;

/// What to change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BudgetChange {
    /// It is to be as this says; its generation is not looked at.
    Put(Box<Budget>),
    /// Other hard limits of one window, by dimension.
    Raise {
        /// The window.
        window: String,
        /// Hard limits.
        limits: BTreeMap<String, u64>,
    },
    /// More for once; consumed before the limit is.
    TopUp {
        /// The top-up's id: said again it changes nothing.
        id: String,
        /// The window.
        window: String,
        /// How much.
        amounts: Amounts,
        /// When what is left goes.
        expires_at: Option<Millis>,
    },
    /// One of these, unless the budget is another by now: one that comes late undoes nothing newer.
    Only {
        /// The budget's generation; 0 of one that is not there.
        generation: u64,
        /// The change.
        change: Box<BudgetChange>,
    },
}

/// Change a budget, or make one.
#[derive(Clone, Debug)]
pub struct SetBudget {
    /// The namespace.
    pub namespace: String,
    /// The path.
    pub path: String,
    /// What to change.
    pub change: BudgetChange,
}

/// Delete a budget.
#[derive(Clone, Debug)]
pub struct DeleteBudget {
    /// The namespace.
    pub namespace: String,
    /// The path.
    pub path: String,
    /// Although money is held under it: who waits is answered, and late charges count for the levels above.
    pub force: bool,
}

impl SetBudget {
    pub(in super::super) fn cold_keys(&self) -> Vec<key::Key> {
        match &self.change {
            BudgetChange::TopUp { id, .. } => vec![top_up_key(&self.namespace, &self.path, id)],
            _ => Vec::new(),
        }
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, path) = (self.namespace.as_str(), self.path.as_str());
        let before = context.partition.budget(namespace, path).cloned();
        let not_found = || Refusal::BudgetNotFound { path: self.path.clone() };
        // Periods that are over end under the limits that they had.
        book::roll(context, namespace, path)?;
        let (change, only) = match &self.change {
            BudgetChange::Only { generation, change } => (&**change, Some(*generation)),
            change => (change, None),
        };
        match change {
            BudgetChange::Put(budget) => put(context, namespace, path, before, Budget::clone(budget), only)?,
            BudgetChange::Raise { window, limits } => {
                let budget = raised(before.clone().ok_or_else(not_found)?, window, limits)?;
                put(context, namespace, path, before, budget, only)?;
            }
            BudgetChange::TopUp { id, window, amounts, expires_at } => {
                let budget = before.ok_or_else(not_found)?;
                self.top_up(context, &budget, id, window, amounts, *expires_at)?;
            }
            // Nobody says so twice.
            BudgetChange::Only { .. } => {}
        }
        let view = read::view(context, namespace, path).ok_or_else(not_found)?;
        Ok(Outcome::Budget(Box::new(view)))
    }

    fn top_up(
        &self,
        context: &mut Context<'_>,
        budget: &Budget,
        id: &str,
        window: &str,
        amounts: &Amounts,
        expires_at: Option<Millis>,
    ) -> Result<(), Refusal> {
        let (namespace, path) = (self.namespace.as_str(), self.path.as_str());
        let done = top_up_key(namespace, path, id);
        let until = expires_at.map(|at| format!(" until {at}")).unwrap_or_default();
        let body =
            Charge { model: Some(format!("{window}{until}")), ..Charge::new(id, amounts.clone()) }.body();
        let conflict = || Refusal::TopUpConflict { id: id.to_owned() };
        if let Some(said) = context.read(&done)? {
            return if said[..] == body { Ok(()) } else { Err(conflict()) };
        }
        // Its id goes with its entry; what is left of it may stay for longer.
        let mut kept = context.partition.counters(namespace, path).into_iter().flat_map(|kept| &kept.windows);
        let known = kept.find_map(|counter| {
            let known = counter.top_ups.iter().flatten().find(|top_up| top_up.id == id)?;
            Some(counter.name == window && known.amounts == *amounts && known.expires_at == expires_at)
        });
        match known {
            Some(true) => return Ok(()),
            Some(false) => return Err(conflict()),
            None => {}
        }
        let now = context.now();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::TopUpExpired { id: id.to_owned() });
        }
        let unknown = || Refusal::WindowNotFound { window: window.to_owned() };
        let at = budget.windows.iter().find(|other| other.name == window).ok_or_else(unknown)?;
        let mut counters = counters(context, namespace, path, budget);
        let counter = counters.windows.iter_mut().find(|other| other.name == window).ok_or_else(unknown)?;
        counter.tidy(now);
        let open = counter.top_ups.iter().flatten().filter(|top_up| !top_up.left.is_zero());
        if open.count() >= TOP_UPS_MAX {
            return Err(Refusal::TooManyTopUps { max: TOP_UPS_MAX });
        }
        let beyond = at.limits.iter().filter_map(|(dimension, limit)| {
            let over = counter.counted(dimension, now).checked_sub(limit.hard?)?;
            Some((dimension.as_str(), over))
        });
        let beyond = Amounts::of(beyond);
        let top_up = TopUp { id: id.to_owned(), amounts: amounts.clone(), left: amounts.clone(), expires_at };
        let paid = amounts.at_most(&beyond);
        counter.top_up(top_up, &paid, now);
        book::latch(context, namespace, path, budget, &mut counters);
        put_counters(context, namespace, path, counters);
        let entry = Entry {
            charge_id: Some(id.to_owned()),
            window: Some(window.to_owned()),
            expires_at,
            paid: (!paid.is_zero()).then_some(paid),
            ..Entry::new(now, EntryKind::TopUp, path, amounts.clone())
        };
        book::append(context, namespace, &entry);
        context.put_cold(done, body.to_vec());
        context.event_of_budget(namespace, path, EventKind::BudgetToppedUp);
        queue::grant_waiting(context, namespace, path);
        Ok(())
    }
}

/// The record of a top-up's id.
pub(super) fn top_up_key(namespace: &str, path: &str, id: &str) -> key::Key {
    key::charge(namespace, path, &format!("top-up\0{id}"))
}

fn raised(mut budget: Budget, window: &str, limits: &BTreeMap<String, u64>) -> Result<Budget, Refusal> {
    let unknown = || Refusal::WindowNotFound { window: window.to_owned() };
    let at = budget.windows.iter_mut().find(|other| other.name == window).ok_or_else(unknown)?;
    for (dimension, hard) in limits {
        at.limits.entry(dimension.clone()).or_default().hard = Some(*hard);
    }
    Ok(budget)
}

/// Puts a budget. A window of another kind than before starts anew; one whose limits changed goes on.
fn put(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    before: Option<Budget>,
    mut budget: Budget,
    only: Option<u64>,
) -> Result<(), Refusal> {
    budget.generation = before.as_ref().map_or(0, |before| before.generation);
    if before.as_ref() == Some(&budget) {
        return Ok(());
    }
    if only.is_some_and(|only| only != budget.generation) {
        return Err(Refusal::BudgetChanged { path: path.to_owned(), generation: budget.generation });
    }
    let seq = ledger_seq(context, namespace, path);
    let old = context.partition.counters(namespace, path).cloned().unwrap_or_default();
    let kinds = before.iter().flat_map(|before| &before.windows);
    let kinds: BTreeMap<&str, _> = kinds.map(|window| (window.name.as_str(), &window.kind)).collect();
    let windows = budget.windows.iter().map(|window| {
        let goes_on = kinds.get(window.name.as_str()) == Some(&&window.kind);
        let counter = old.window(&window.name).filter(|_| goes_on);
        counter.cloned().unwrap_or_else(|| WindowCounter::new(&window.name, seq))
    });
    let mut counters = Counters { windows: windows.collect(), verified: None, ..old.clone() };
    counters.windows.iter_mut().for_each(|counter| counter.tidy(context.now()));
    let was_breached = counters.breached == Some(true);
    budget.generation += 1;
    let record = Record::Budget(Box::new(budget.clone()));
    context.put_record(key::budget(namespace, path), Some(record));
    book::latch(context, namespace, path, &budget, &mut counters);
    let acts = |budget: &Budget| (budget.acts(), budget.on_hard());
    if was_breached
        && counters.breached == Some(true)
        && before.is_some_and(|before| acts(&before) != acts(&budget))
    {
        book::stop(context, namespace, path, &budget);
    }
    put_counters(context, namespace, path, counters);
    // The period that it begins in is one that may leave something for the next.
    book::roll(context, namespace, path)?;
    context.event_of_budget(namespace, path, EventKind::BudgetChanged);
    // What can never fit now is refused, and what fits starts.
    queue::grant_waiting(context, namespace, path);
    Ok(())
}

impl DeleteBudget {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let (namespace, path) = (self.namespace.as_str(), self.path.as_str());
        if context.partition.budget(namespace, path).is_none() {
            return Err(Refusal::BudgetNotFound { path: self.path.clone() });
        }
        let held = context.partition.holds_under(namespace, path).count();
        if held > 0 && !self.force {
            return Err(Refusal::BudgetHeld { path: self.path.clone(), holds: held });
        }
        let waiters: Vec<_> = context.partition.queue(namespace, path).map(|(_, key)| key).collect();
        context.put_record(key::budget(namespace, path), None);
        context.put_record(key::counters(namespace, path), None);
        context.delete_cold(key::carried(namespace, tree(path), path));
        estimates::forget(context, namespace, path);
        for key in waiters {
            context.put_record(key::waiter(&key), None);
            let denial = Denial::NotFound;
            tell(context, key.execution.partition(), Message::Refused { key, denial });
        }
        states::opened(context, namespace, path);
        context.event_of_budget(namespace, path, EventKind::BudgetDeleted);
        // Those below it may fit now.
        queue::grant_waiting(context, namespace, path);
        Ok(Outcome::Done)
    }
}
