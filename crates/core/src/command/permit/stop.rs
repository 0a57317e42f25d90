//! A budget stops what runs under it, or one execution that lacks what it needs.

use super::super::context::Context;
use super::{asking, end_all};
use crate::Millis;
use crate::event::EventKind;
use crate::model::{Amounts, Execution, OnHard, PermitKey, PermitState, Shortfall, State, Stop, StopReason};

/// A budget is breached: what was started under it before is asked to stop, and what was only admitted gives its permits
/// back.
pub(in super::super) fn stop(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    on_hard: OnHard,
    grace_ms: Millis,
) {
    for id in context.partition.spenders_under(namespace, path) {
        let Some(mut execution) = context.partition.execution(id).cloned() else { continue };
        if execution.state() == State::Running {
            stop_one(context, execution, on_hard, grace_ms, &format!("budget {path} is exhausted"));
            continue;
        }
        let has = |spending: &crate::model::Spending| {
            spending.permits.iter().flatten().any(|permit| permit.state == PermitState::Granted)
        };
        if execution.spending.as_deref().is_some_and(has) {
            end_all(context, &mut execution, true);
            context.put_silently(execution);
        }
    }
}

/// An execution has spent what it did not have, or asked for what there was not.
pub(in super::super) fn short(
    context: &mut Context<'_>,
    key: PermitKey,
    missing: &Amounts,
    promised: Option<&Amounts>,
    shortfall: &Shortfall,
    on_hard: OnHard,
    grace_ms: Millis,
) {
    let Some(mut execution) = asking(context, &key) else { return };
    if execution.state() != State::Running {
        return;
    }
    let count = execution.policy.budgets.len();
    if let Some(spending) = execution.spending.as_deref_mut() {
        let raise = |all: &mut Option<Vec<Amounts>>, to: &Amounts| {
            let all = all.get_or_insert_default();
            all.resize(count, Amounts::default());
            if let Some(amounts) = all.get_mut(usize::from(key.n)) {
                *amounts = amounts.or_more(to);
            }
        };
        raise(&mut spending.missing, missing);
        if let Some(promised) = promised {
            raise(&mut spending.promised, promised);
        }
    }
    let Shortfall { path, window, dimension, missing, .. } = shortfall;
    let message = match window.as_str() {
        "" => format!("there is no budget {path} any more"),
        _ => format!("budget {path} lacks {missing} {dimension} in window {window}"),
    };
    stop_one(context, execution, on_hard, grace_ms, &message);
}

/// Asks running code to stop for the want of money; a stop that is under way stays as it is.
pub(in super::super) fn stop_one(
    context: &mut Context<'_>,
    mut execution: Execution,
    on_hard: OnHard,
    grace_ms: Millis,
    message: &str,
) {
    let reason = match on_hard {
        OnHard::Block => return context.put_silently(execution),
        OnHard::Suspend => StopReason::Suspend,
        OnHard::Cancel => StopReason::BudgetCancel,
        OnHard::Fail => StopReason::BudgetFail,
    };
    let now = context.now();
    if execution.stop.is_some() {
        return context.put_silently(execution);
    }
    let until = now.saturating_add(grace_ms.max(0));
    execution.stop = Some(Box::new(Stop { reason, message: Some(message.to_owned()), until }));
    context.put(execution, EventKind::StopRequested);
}
