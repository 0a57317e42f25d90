//! Caps: the most that an execution, or one attempt of it, may spend.

use super::super::Refusal;
use super::super::context::Context;
use super::super::ending::{Ended, end};
use crate::model::{Amounts, AttemptOutcome, BudgetUse, Execution, Move, State, WALL_CLOCK};

/// What the caps of a budget leave to what is asked for now, by dimension.
pub(super) fn caps_left(used: &BudgetUse, execution: &Execution) -> Option<Vec<(String, u64)>> {
    let mut left: Vec<(String, u64)> = Vec::new();
    let (spent, attempt_spent) = spent(execution);
    for (cap, spent) in [(&used.cap, spent), (&used.attempt_cap, attempt_spent)] {
        for (dimension, cap) in capped(cap) {
            let rest = cap.saturating_sub(spent.map_or(0, |spent| spent.get(dimension)));
            match left.iter_mut().find(|(name, _)| name == dimension) {
                Some((_, least)) => *least = rest.min(*least),
                None => left.push((dimension.to_owned(), rest)),
            }
        }
    }
    (!left.is_empty()).then_some(left)
}

/// The cap that an execution has exceeded by what it has spent, if one: path and dimension.
pub(in super::super) fn cap_spent(execution: &Execution) -> Option<(String, String)> {
    let spending = execution.spending.as_deref()?;
    execution.policy.budgets.iter().find_map(|used| {
        let over = |cap, spent: &Amounts| {
            capped(cap).find(|(name, cap)| spent.get(name) > *cap).map(|(name, _)| name.to_owned())
        };
        let dimension =
            over(&used.cap, &spending.spent).or_else(|| over(&used.attempt_cap, &spending.attempt_spent));
        dimension.map(|dimension| (used.path.clone(), dimension))
    })
}

/// Ends an execution that is to be started, and has used a cap up: nothing that it spends could be within it. Says whether it
/// has.
pub(in super::super) fn fail_used_up(
    context: &mut Context<'_>,
    execution: &Execution,
) -> Result<bool, Refusal> {
    let Some((path, dimension)) = used_up(execution) else { return Ok(false) };
    let message = format!("cap on {dimension} of budget {path} is used up");
    let ended = Ended::own(AttemptOutcome::Failed, "cap_exceeded", &message);
    end(context, execution.clone(), Move::Fail, ended, None)?;
    Ok(true)
}

fn used_up(execution: &Execution) -> Option<(String, String)> {
    let spending = execution.spending.as_deref()?;
    let (spent, attempt_spent) = spent(execution);
    let attempt_ran = if attempt_spent.is_some() { spending.attempt_ran_ms } else { 0 };
    execution.policy.budgets.iter().find_map(|used| {
        let full = |cap: &Option<Amounts>, spent: Option<&Amounts>, ran: crate::Millis| {
            let is_full = |name: &str, cap| spent.is_some_and(|spent| spent.get(name) >= cap);
            let dimension =
                capped(cap).find(|(name, cap)| is_full(name, *cap)).map(|(name, _)| name.to_owned());
            let time = cap.as_ref().map(|cap| cap.get(WALL_CLOCK)).filter(|cap| *cap > 0);
            let is_late = time.is_some_and(|time| u64::try_from(ran).is_ok_and(|ran| ran >= time));
            dimension.or_else(|| is_late.then(|| WALL_CLOCK.to_owned()))
        };
        let dimension = full(&used.cap, spent, spending.ran_ms)
            .or_else(|| full(&used.attempt_cap, attempt_spent, attempt_ran));
        dimension.map(|dimension| (used.path.clone(), dimension))
    })
}

/// What counts against the caps of what starts next: of all attempts, and of the attempt if it is one that goes on.
pub(super) fn spent(execution: &Execution) -> (Option<&Amounts>, Option<&Amounts>) {
    let Some(spending) = execution.spending.as_deref() else { return (None, None) };
    let goes_on = execution.state() != State::Ready || spending.given_back == Some(true);
    (Some(&spending.spent), goes_on.then_some(&spending.attempt_spent))
}

fn capped(cap: &Option<Amounts>) -> impl Iterator<Item = (&str, u64)> {
    cap.iter().flat_map(Amounts::iter).filter(|(name, _)| *name != WALL_CLOCK)
}
