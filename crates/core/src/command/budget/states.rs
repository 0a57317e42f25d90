//! The states of a budget, as its events tell them: each that begins has an event, and so has its end.

use super::super::context::Context;
use super::{put_counters, room};
use crate::event::EventKind;
use crate::model::levels;

/// Somebody waits for what a level lacks.
pub(super) fn exhausted(context: &mut Context<'_>, namespace: &str, level: &str) {
    let Some(counters) = context.partition.counters(namespace, level) else { return };
    if counters.exhausted != Some(true) {
        let mut counters = counters.clone();
        counters.exhausted = Some(true);
        put_counters(context, namespace, level, counters);
        context.event_of_budget(namespace, level, EventKind::BudgetExhausted);
    }
}

/// Somebody who waited at a path does no longer: where nobody is left, it is over.
pub(super) fn opened(context: &mut Context<'_>, namespace: &str, path: &str) {
    for level in levels(path) {
        let Some(counters) = context.partition.counters(namespace, level) else { continue };
        if counters.exhausted == Some(true) && context.partition.waiting(namespace, level) == 0 {
            let mut counters = counters.clone();
            counters.exhausted = None;
            put_counters(context, namespace, level, counters);
            context.event_of_budget(namespace, level, EventKind::BudgetOpened);
        }
    }
}

/// What the levels of a path have used and hold may be another: notes where it is above a limit now, and where it is no longer.
pub(super) fn committed(context: &mut Context<'_>, namespace: &str, path: &str) {
    let now = context.now();
    for level in levels(path) {
        let budget = context.partition.budget(namespace, level).filter(|budget| budget.acts());
        let Some(counters) = context.partition.counters(namespace, level) else { continue };
        let is = budget.is_some_and(|budget| {
            room::is_overcommitted(context.partition, namespace, level, budget, counters, now)
        });
        if is == (counters.overcommitted == Some(true)) {
            continue;
        }
        let mut counters = counters.clone();
        counters.overcommitted = is.then_some(true);
        put_counters(context, namespace, level, counters);
        let kind = if is { EventKind::BudgetOvercommitted } else { EventKind::BudgetCovered };
        context.event_of_budget(namespace, level, kind);
    }
}
