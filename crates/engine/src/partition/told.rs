//! What happened to budgets is said in the log, with the budget: metrics only count it.

use stint_core::{Event, EventKind};

/// Says what became public with a commit. Who waits comes and goes, and is of interest only to who looks closely.
pub(super) fn told(events: &[Event]) {
    for event in events {
        let Some((namespace, path)) = event.budget.as_deref().and_then(|name| name.split_once('\0')) else {
            continue;
        };
        let kind = event.kind.name();
        match event.kind {
            EventKind::BudgetBreached
            | EventKind::BudgetOvercommitted
            | EventKind::BudgetSoftLimit
            | EventKind::BudgetRepaired
            | EventKind::ChargeQuarantined => tracing::warn!(namespace, path, event = kind, "a budget"),
            EventKind::BudgetCleared | EventKind::BudgetCovered | EventKind::BudgetToppedUp => {
                tracing::info!(namespace, path, event = kind, "a budget");
            }
            _ => tracing::debug!(namespace, path, event = kind, "a budget"),
        }
    }
}
