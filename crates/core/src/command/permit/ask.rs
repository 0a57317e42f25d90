//! A claim wants an execution that has no permits yet: they are asked for.

use super::super::context::Context;
use super::cap::{caps_left, spent};
use super::{tell, tree_of};
use crate::ids::{ExecutionId, PartitionId};
use crate::model::{Ask, Execution, HeldPermit, Message, Permit, PermitKey, PermitState, TENTATIVE_MS};

/// Asks for all permits of an execution that wants them; with one budget it waits for it, with several it asks first
/// whether all are free.
pub(in super::super) fn ask(context: &mut Context<'_>, id: ExecutionId) {
    let Some(execution) = context.partition.execution(id).cloned() else { return };
    let count = execution.policy.budgets.len();
    let now = context.now();
    let until = (count > 1).then(|| now.saturating_add(TENTATIVE_MS));
    let queue = if count == 1 { Queue::Waits } else { Queue::Not };
    put_question(context, execution, &(0..count).collect::<Vec<_>>(), queue, until);
}

/// An execution has rested: it queues where it was told not now.
pub(in super::super) fn ask_again(context: &mut Context<'_>, mut execution: Execution) {
    let Some(spending) = execution.spending.as_deref_mut() else { return };
    let Some(place) = spending.rests.take() else { return };
    put_question(context, execution, &[usize::from(place)], Queue::Waits, None);
}

/// Whether what asks waits if there is not enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// It is answered now.
    Not,
    /// It waits.
    Waits,
    /// It waits at the front of a queue, and only for a path that comes behind all that it holds: so no two that wait like this
    /// have what the other waits for, and nothing is kept for what is not next.
    AsNext,
}

/// Asks for some of an execution's permits, under a new ask; those that it has stay.
pub(super) fn put_question(
    context: &mut Context<'_>,
    mut execution: Execution,
    places: &[usize],
    queue: Queue,
    until: Option<crate::Millis>,
) {
    let granted = |n: &usize| {
        let permit = execution.spending.as_deref().and_then(|spending| spending.permits.get(*n)?.as_ref());
        permit.is_some_and(|permit| permit.state == PermitState::Granted)
    };
    let held = (0..execution.policy.budgets.len()).filter(granted);
    let last = held.filter_map(|n| execution.policy.budgets.get(n)).map(|used| used.path.clone()).max();
    let spending = execution.spending.get_or_insert_default();
    spending.asks += 1;
    let ask = spending.asks;
    spending.permits.resize(execution.policy.budgets.len(), None);
    for n in places {
        if let Some(permit) = spending.permits.get_mut(*n) {
            *permit = Some(Permit { ask, state: PermitState::Asked, held: None });
        }
    }
    spending.until = until;
    let questions: Vec<_> = places
        .iter()
        .filter_map(|n| {
            let key = PermitKey { execution: execution.id, ask, n: *n as u8 };
            let mut asked = question(&execution, *n, queue == Queue::Waits)?;
            if queue == Queue::AsNext && last.as_ref() < Some(&asked.path) {
                (asked.queue, asked.as_next) = (true, Some(true));
            }
            Some((tree_of(&execution, *n)?, key, asked))
        })
        .collect();
    context.put_silently(execution);
    for (tree, key, ask) in questions {
        tell(context, tree, Message::Ask { key, ask });
    }
}

pub(in super::super) fn question(execution: &Execution, n: usize, queue: bool) -> Option<Ask> {
    let used = execution.policy.budgets.get(n)?;
    let spending = execution.spending.as_deref();
    Some(Ask {
        namespace: execution.group.namespace.to_string(),
        path: used.path.clone(),
        kind: execution.group.kind.to_string(),
        hold: used.hold.clone(),
        missing: spending.and_then(|s| s.missing.as_ref()?.get(n).cloned()).filter(|m| !m.is_zero()),
        promised: spending.and_then(|s| s.promised.as_ref()?.get(n).cloned()).filter(|p| !p.is_zero()),
        order: execution.order,
        queue,
        cap: caps_left(used, execution),
        as_next: None,
        before: spent(execution).1.filter(|spent| !spent.is_zero()).cloned(),
    })
}

/// All that this partition holds, and all that it waits for, in a tree's partition; with the questions.
pub(in super::super) fn asks_of(
    context: &Context<'_>,
    peer: PartitionId,
) -> (Vec<HeldPermit>, Vec<(PermitKey, Ask)>) {
    let (mut held, mut pending) = (Vec::new(), Vec::new());
    for id in context.partition.spenders_of(peer) {
        let Some(execution) = context.partition.execution(id) else { continue };
        let Some(spending) = execution.spending.as_deref() else { continue };
        for (n, permit) in spending.permits.iter().enumerate() {
            let Some(permit) = permit.as_ref().filter(|_| tree_of(execution, n) == Some(peer)) else {
                continue;
            };
            let key = PermitKey { execution: id, ask: permit.ask, n: n as u8 };
            let alone = spending.permits.len() == 1;
            let queue = alone || matches!(permit.state, PermitState::Queued(_)) || spending.until.is_none();
            let Some(ask) = question(execution, n, queue) else { continue };
            if permit.state == PermitState::Granted {
                held.push(HeldPermit { key, ask });
            } else {
                pending.push((key, ask));
            }
        }
    }
    (held, pending)
}
