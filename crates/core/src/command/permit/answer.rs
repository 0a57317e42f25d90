//! A tree answers. An answer to a question that the execution no longer has is answered with an end.

use super::super::Refusal;
use super::super::context::Context;
use super::super::ending::{Ended, end};
use super::ask::{Queue, asks_of, put_question};
use super::{asking, end_all, set, tell, wants};
use crate::event::EventKind;
use crate::model::{
    Amounts, AttemptOutcome, Denial, ErrorInfo, Execution, Message, Move, Permit, PermitKey, PermitState,
    Shortfall, State, TENTATIVE_MS, UNUSED_MS,
};

/// The hold stands.
pub(in super::super) fn granted(context: &mut Context<'_>, key: PermitKey, held: &Amounts) {
    let Some(mut execution) = asking(context, &key) else { return give_back(context, key) };
    let now = context.now();
    let count = execution.policy.budgets.len();
    let running = !execution.is_ready();
    let Some(spending) = execution.spending.as_deref_mut() else { return };
    let place = usize::from(key.n);
    let before = spending.permits.get(place).and_then(|p| p.as_ref().map(|p| p.state.clone()));
    if before == Some(PermitState::Granted) {
        return;
    }
    let was_queued = matches!(before, Some(PermitState::Queued(_)));
    set(spending, place, PermitState::Granted);
    if let Some(Some(permit)) = spending.permits.get_mut(place) {
        permit.held = Some(held.clone());
    }
    if spending.is_admitted(count) {
        spending.blocked_since = None;
        spending.rounds = None;
        spending.until = Some(now.saturating_add(UNUSED_MS)).filter(|_| !running);
        return context.put_silently(execution);
    }
    // The one that it waited for came: the others are asked again, and have a moment to say yes. Work that wants only one of
    // them would take it each time it is free, so where it is next it waits for it.
    let missing: Vec<usize> =
        spending.permits.iter().enumerate().filter(|(_, permit)| permit.is_none()).map(|(n, _)| n).collect();
    let until = Some(now.saturating_add(TENTATIVE_MS));
    if missing.is_empty() {
        if was_queued {
            spending.until = until;
        }
        return context.put_silently(execution);
    }
    put_question(context, execution, &missing, Queue::AsNext, until);
}

/// Whether a tree that says anything but yes has lost the hold of an attempt that runs: having granted it, it was asked again.
fn has_lost(execution: &Execution, key: &PermitKey) -> bool {
    let permit = execution.spending.as_deref().and_then(|spending| spending.permits.get(usize::from(key.n)));
    execution.state() == State::Running
        && matches!(permit, Some(Some(Permit { state: PermitState::Granted, .. })))
}

/// Tells the tree all that is held here: what it does not know of stands again, since the attempts are there.
fn claim_held(context: &mut Context<'_>) {
    if let Some(from) = context.from() {
        let (held, pending) = asks_of(context, from);
        let pending = pending.into_iter().map(|(key, _)| key).collect();
        tell(context, from, Message::Permits { held, pending });
    }
}

/// Nobody here wants it. What was known of its end was said when it ended; for all that is known now, a worker may still be
/// spending from it.
fn give_back(context: &mut Context<'_>, key: PermitKey) {
    // Whose tree it was is known from whoever answered; an execution that is gone has no paths any more.
    if let Some(from) = context.from() {
        tell(context, from, Message::End { key, settled: false, over: false });
    }
}

/// It waits in a queue.
pub(in super::super) fn queued(context: &mut Context<'_>, key: PermitKey, shortfall: &Shortfall) {
    let Some(mut execution) = asking(context, &key) else { return give_back(context, key) };
    if has_lost(&execution, &key) {
        return claim_held(context);
    }
    let now = context.now();
    let Some(spending) = execution.spending.as_deref_mut() else { return };
    let place = usize::from(key.n);
    let first = spending.blocked_since.is_none();
    spending.blocked_since.get_or_insert(now);
    set(spending, place, PermitState::Queued(shortfall.clone()));
    if first {
        context.put(execution, EventKind::Blocked);
    } else {
        context.put_silently(execution);
    }
}

/// No.
pub(in super::super) fn refused(
    context: &mut Context<'_>,
    key: PermitKey,
    denial: &Denial,
) -> Result<(), Refusal> {
    let Some(mut execution) = asking(context, &key) else { return Ok(()) };
    if has_lost(&execution, &key) {
        claim_held(context);
        return Ok(());
    }
    let place = usize::from(key.n);
    if let Some(permit) = execution.spending.as_deref_mut().and_then(|s| s.permits.get_mut(place)) {
        // A refused key has ended.
        *permit = None;
    }
    end_all(context, &mut execution, true);
    let (error_type, message) = match denial {
        Denial::NotNow(_) => {
            let (id, now) = (execution.id, context.now());
            let Some(spending) = execution.spending.as_deref_mut() else { return Ok(()) };
            let rounds = spending.rounds.unwrap_or(0);
            spending.rounds = Some(rounds.saturating_add(1));
            if rounds == 0 {
                // It waits for the first that said no, holding nothing.
                put_question(context, execution, &[place], Queue::Waits, None);
            } else {
                spending.rests = Some(key.n);
                spending.until = Some(now.saturating_add(spending.rest_ms(id)));
                context.put_silently(execution);
            }
            return Ok(());
        }
        Denial::TooLarge(short) => {
            let Shortfall { path, window, dimension, limit, missing, .. } = short;
            let wanted = limit.saturating_add(*missing);
            let message = format!(
                "it wants {wanted} {dimension} held, and window {window} of budget {path} never has more than {limit}"
            );
            ("hold_too_large", message)
        }
        Denial::NotFound => {
            let path = execution.policy.budgets.get(place).map(|used| used.path.clone()).unwrap_or_default();
            ("budget_not_found", format!("there is no budget {path} any more"))
        }
    };
    // Put first: its end takes the record that stands.
    context.put_silently(execution.clone());
    let error = Some(ErrorInfo::own(error_type, message));
    let ended = Ended { outcome: AttemptOutcome::Failed, error, body: None, unfinished: false };
    if execution.is_ready() || execution.paused {
        end(context, execution, Move::Fail, ended, None)?;
    }
    Ok(())
}

/// A tree asks which of these are still wanted.
pub(in super::super) fn checked(context: &mut Context<'_>, keys: &[PermitKey]) {
    let Some(tree) = context.from() else { return };
    let unwanted = keys.iter().filter(|key| !wants(context.partition, key, tree)).copied();
    let unwanted: Vec<PermitKey> = unwanted.collect();
    if !unwanted.is_empty() {
        tell(context, tree, Message::Unwanted(unwanted));
    }
}
