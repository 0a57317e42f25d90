//! Budgets as they stand, and whether work may name them.

use super::super::context::Context;
use super::super::{AHEAD_MAX, Outcome, Refusal};
use super::room;
use crate::Millis;
use crate::model::{
    Amounts, Ask, Budget, Counted, Counters, PermitKey, Shortfall, TopUp, WindowKind, is_under,
};

/// A budget as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetView {
    /// The path.
    pub path: String,
    /// What was set.
    pub budget: Budget,
    /// Its windows, in order.
    pub windows: Vec<WindowView>,
    /// Held at it and below.
    pub held: Amounts,
    /// Holds at it and below.
    pub holds: usize,
    /// Executions that wait at it and below.
    pub waiting: usize,
    /// It has not enough for somebody whose turn it is.
    pub exhausted: bool,
    /// What is used and held exceeds a hard limit.
    pub overcommitted: bool,
    /// What is used exceeds a hard limit.
    pub breached: bool,
    /// Breaches so far.
    pub breaches: u64,
}

/// A window of a budget as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowView {
    /// Its name.
    pub name: String,
    /// When the present period began: of a rolling window, its oldest bucket that counts.
    pub start: Millis,
    /// When it ends; none of a total. Of a rolling window, when the oldest that counts stops counting, if anything does.
    pub end: Option<Millis>,
    /// What is used.
    pub used: Amounts,
    /// Of that, what top-ups paid for.
    pub topped: Amounts,
    /// Top-ups that are valid, with what is left of them.
    pub top_ups: Vec<TopUp>,
    /// What may still be held, of every dimension with a hard limit, as far as this budget goes.
    pub free: Vec<(String, u64)>,
}

/// Read one budget.
#[derive(Clone, Debug)]
pub struct ShowBudget {
    /// The namespace.
    pub namespace: String,
    /// The path.
    pub path: String,
}

/// Read the budgets of a namespace that live here, by path.
#[derive(Clone, Debug)]
pub struct ListBudgets {
    /// The namespace.
    pub namespace: String,
    /// Only this one and those below it.
    pub under: Option<String>,
    /// Only those behind this one.
    pub after: Option<String>,
    /// So many at most.
    pub limit: usize,
}

/// Ask whether work that names budgets of a tree can ever start.
#[derive(Clone, Debug)]
pub struct CheckUses {
    /// The namespace.
    pub namespace: String,
    /// Paths, with what is to be held.
    pub uses: Vec<(String, Option<Amounts>)>,
}

/// Ask where an execution stands in a queue, or would if it asked.
#[derive(Clone, Debug)]
pub struct ShowPlace {
    /// Which permit.
    pub key: PermitKey,
    /// What it asks for, or would.
    pub ask: Ask,
}

/// A place in a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// How many of the tree's queues are before it; counted up to [`AHEAD_MAX`].
    pub ahead: usize,
    /// What is missing for it alone; none if it waits only for those before it.
    pub shortfall: Option<Shortfall>,
}

impl ShowBudget {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let view = view(context, &self.namespace, &self.path);
        let view = view.ok_or_else(|| Refusal::BudgetNotFound { path: self.path.clone() })?;
        Ok(Outcome::Budget(Box::new(view)))
    }
}

impl ListBudgets {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let behind = |path: &str| self.after.as_deref().is_none_or(|after| path > after);
        let is_meant = |path: &str| self.under.as_deref().is_none_or(|under| is_under(path, under));
        let paths = context.partition.budgets(&self.namespace).filter(|path| behind(path) && is_meant(path));
        let views = paths.filter_map(|path| view(context, &self.namespace, path));
        Ok(Outcome::Budgets(views.take(self.limit).collect()))
    }
}

impl CheckUses {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        for (path, hold) in &self.uses {
            if context.partition.budget(&self.namespace, path).is_none() {
                return Err(Refusal::BudgetNotFound { path: path.clone() });
            }
            let now = context.now();
            if let Some(hold) = hold
                && let Some(shortfall) = room::too_large(context.partition, &self.namespace, path, hold, now)
            {
                return Err(Refusal::HoldTooLarge(Box::new(shortfall)));
            }
        }
        Ok(Outcome::Done)
    }
}

impl ShowPlace {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let partition = &context.partition;
        let ask = partition.waiter(&self.key).unwrap_or(&self.ask);
        let tree = crate::model::tree(&ask.path);
        let paths: Vec<&str> = partition.waiting_paths_under(&ask.namespace, tree).collect();
        let before = |path: &&str| {
            let queue = partition.queue(&ask.namespace, path);
            queue.take_while(|place| *place < (ask.order, self.key)).take(AHEAD_MAX).count()
        };
        let ahead = paths.iter().map(before).sum::<usize>().min(AHEAD_MAX);
        let amounts = super::queue::wanted(context, ask);
        let shortfall = room::shortfall(partition, &ask.namespace, &ask.path, &amounts, context.now());
        Ok(Outcome::Place(Place { ahead, shortfall }))
    }
}

/// A budget as it stands; none if there is none.
pub(super) fn view(context: &Context<'_>, namespace: &str, path: &str) -> Option<BudgetView> {
    let (partition, now) = (&*context.partition, context.now());
    let budget = partition.budget(namespace, path)?.clone();
    let counters = partition.counters(namespace, path).cloned().unwrap_or_default();
    let windows = budget.windows.iter().map(|window| {
        let present = Counted::at(&window.kind, now);
        let counter = counters.window(&window.name);
        let counting = counter.into_iter().flat_map(|c| c.periods.iter().filter(|period| period.end > now));
        let mut topped = Amounts::default();
        for period in counting.clone() {
            // Never more than what is used, which is bounded.
            _ = topped.add(&period.topped);
        }
        let valid = |top_up: &&TopUp| top_up.expires_at.is_none_or(|at| at > now) && !top_up.left.is_zero();
        WindowView {
            name: window.name.clone(),
            start: counting.map(|period| period.start).min().unwrap_or(present.start),
            end: match &window.kind {
                WindowKind::Rolling { .. } => counter.and_then(|counter| counter.next_end(now)),
                _ => Some(present.next).filter(|end| *end < Millis::MAX),
            },
            used: counter.map(|counter| counter.all_used(now)).unwrap_or_default(),
            topped,
            top_ups: counter
                .into_iter()
                .flat_map(|c| c.top_ups.iter().flatten().filter(valid))
                .cloned()
                .collect(),
            free: room::free(partition, namespace, path, window, counter, now),
        }
    });
    Some(BudgetView {
        path: path.to_owned(),
        windows: windows.collect(),
        held: partition.all_held(namespace, path),
        holds: partition.holds_under(namespace, path).count(),
        waiting: partition.waiting(namespace, path),
        exhausted: counters.exhausted == Some(true),
        overcommitted: room::is_overcommitted(partition, namespace, path, &budget, &counters, now),
        breached: room::breach(&budget, &counters, now).is_some(),
        breaches: counters.breaches,
        budget,
    })
}

/// Whether counters and their budget fit together: as many windows, of the same names.
pub(super) fn fit(budget: &Budget, counters: &Counters) -> bool {
    let names = counters.windows.iter().map(|window| window.name.as_str());
    budget.windows.iter().map(|window| window.name.as_str()).eq(names)
}
