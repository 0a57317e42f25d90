//! Permits, where executions live: what an execution asks of its budgets' trees, and what it does with the answers. See
//! `docs/PERMITS.md`.
//!
//! | file | what |
//! |---|---|
//! | `ask.rs` | a claim wants it: its permits are asked for |
//! | `answer.rs` | a tree says yes, no, later |
//! | `cap.rs` | what it may spend over all its attempts |
//! | `stop.rs` | a budget stops what runs |
//! | `suspend.rs` | a worker has stopped, and the attempt waits for money |
//! | `charge.rs` | a worker has spent |

mod answer;
mod ask;
mod cap;
mod charge;
mod stop;
mod suspend;

pub(super) use answer::{checked, granted, queued, refused};
pub(super) use ask::{ask, ask_again, asks_of, question};
pub(super) use cap::fail_used_up;
pub(super) use charge::priced;
pub use charge::{ChargeLease, Charged, LeaseBudgets, LeasePermit, Recharge, Spent};
pub(super) use stop::{short, stop, stop_one};
pub use suspend::Suspend;
pub(super) use suspend::{failure_of, stopped};

use super::context::Context;
use super::outbox;
use super::{Refusal, budget};
use crate::ids::{ExecutionId, LeaseRef, PartitionId};
use crate::key;
use crate::model::{EpochRecord, Execution, Group, Message, PermitKey, PermitState, Spending};
use crate::partition::{Partition, Ready};

/// Earlier leases of one execution that late charges find, the latest.
const EPOCHS_MAX: u32 = 1_000;

/// Earlier leases that may have left something in doubt when a step of theirs has a result, the latest.
const DOUBTFUL_EPOCHS: u32 = 16;

/// The oldest lease of which there may be a record.
pub(super) fn oldest_epoch(execution: &Execution) -> u32 {
    execution.epoch.saturating_sub(EPOCHS_MAX).max(1)
}

/// Tells a partition something: by a message, or at once if it is this one.
pub(super) fn tell(context: &mut Context<'_>, to: PartitionId, message: Message) {
    if to != context.partition.id() {
        let id = context.fresh();
        outbox::send(context, to, message, id);
        return;
    }
    // Nothing of this needs a cold record that is not at hand; a charge, which may, is not told to oneself but booked.
    context.note(message);
}

/// Does what a message says. A delivered message can't fail; it may only need records that are not read yet.
pub(super) fn take(context: &mut Context<'_>, from: PartitionId, message: &Message) -> Result<(), Refusal> {
    match message {
        Message::Ask { key, ask } => budget::asked(context, *key, ask)?,
        Message::Reorder { key, order } => budget::reordered(context, *key, *order),
        Message::Charge(charge) => budget::charge_delivered(context, charge)?,
        Message::End { key, settled, over } => budget::ended(context, *key, *settled, *over),
        Message::Permits { held, pending } => budget::compared(context, from, held, pending),
        Message::Granted { key, held } => granted(context, *key, held),
        Message::Queued { key, shortfall } => queued(context, *key, shortfall),
        Message::Refused { key, denial } => refused(context, *key, denial)?,
        Message::Short { key, missing, shortfall, on_hard, grace_ms, promised } => {
            short(context, *key, missing, promised.as_ref(), shortfall, *on_hard, *grace_ms);
        }
        Message::Stop { namespace, path, on_hard, grace_ms } => {
            stop(context, namespace, path, *on_hard, *grace_ms);
        }
        Message::Check(keys) => checked(context, keys),
        Message::Unwanted(keys) => budget::unwanted(context, keys),
        Message::Lane { .. }
        | Message::Lanes { .. }
        | Message::Prices { .. }
        | Message::PricesOf(_)
        | Message::Namespace { .. }
        | Message::Namespaces(_) => {}
    }
    Ok(())
}

/// The tree of a budget that an execution names.
fn tree_of(execution: &Execution, n: usize) -> Option<PartitionId> {
    let used = execution.policy.budgets.get(n)?;
    Some(budget::home(&execution.group.namespace, &used.path))
}

/// Ends every permit that an execution has asked for, and no attempt was started with: exactly once, since it forgets them
/// with it. The caller puts the execution.
pub(super) fn end_all(context: &mut Context<'_>, execution: &mut Execution, settled: bool) {
    end_each(context, execution, settled, false);
}

/// The same; `over` if an attempt was started with them, and is over.
fn end_each(context: &mut Context<'_>, execution: &mut Execution, settled: bool, over: bool) {
    let Some(spending) = execution.spending.as_deref_mut() else { return };
    let permits = std::mem::take(&mut spending.permits);
    spending.until = None;
    spending.rests = None;
    spending.blocked_since = None;
    for (n, permit) in permits.into_iter().enumerate() {
        let (Some(permit), Some(tree)) = (permit, tree_of(execution, n)) else { continue };
        let key = PermitKey { execution: execution.id, ask: permit.ask, n: n as u8 };
        tell(context, tree, Message::End { key, settled, over });
    }
}

/// A lane starts nothing any more: what its executions have asked for, and nobody works with, ends.
pub(super) fn end_of_lane(context: &mut Context<'_>, namespace: &str, lane: &str) {
    let groups: Vec<_> = context.partition.groups_of(namespace, lane).cloned().collect();
    for group in groups {
        end_asked(context, &group, usize::MAX);
    }
}

/// Ends what executions of a group have asked for and not got, of `most` at most; says of how many.
pub(super) fn end_asked(context: &mut Context<'_>, group: &Group, most: usize) -> usize {
    let ready = context.partition.ready_work(group);
    let asked: Vec<ExecutionId> = ready.into_iter().flat_map(Ready::asked).take(most).collect();
    for id in &asked {
        let Some(mut execution) = context.partition.execution(*id).cloned() else { continue };
        end_all(context, &mut execution, true);
        context.put_silently(execution);
    }
    asked.len()
}

/// Its place is another: the queues that it waits in are told.
pub(super) fn reorder(context: &mut Context<'_>, execution: &Execution) {
    let permits = execution.spending.iter().flat_map(|spending| spending.permits.iter().enumerate());
    for (n, permit) in permits {
        if let (Some(permit), Some(tree)) = (permit, tree_of(execution, n))
            && permit.state != PermitState::Granted
        {
            let key = PermitKey { execution: execution.id, ask: permit.ask, n: n as u8 };
            tell(context, tree, Message::Reorder { key, order: execution.order });
        }
    }
}

/// What every end of a lease does to an execution that names budgets: its time counts, its permits end, and charges that
/// come late will find them. `spoken` if the worker said a last word, `over` if the attempt does not go on.
pub(super) fn end_lease(context: &mut Context<'_>, execution: &mut Execution, spoken: bool, over: bool) {
    if execution.policy.budgets.is_empty() && execution.spending.is_none() {
        return;
    }
    let now = context.now();
    let Some(lease) = execution.lease.as_deref() else { return };
    let (ran, token) = ((now - lease.granted_at).max(0), lease.token);
    let spending = execution.spending.get_or_insert_default();
    spending.ran_ms = spending.ran_ms.saturating_add(ran);
    spending.attempt_ran_ms = spending.attempt_ran_ms.saturating_add(ran);
    let asks = spending.permits.iter().map(|permit| permit.as_ref().map_or(0, |permit| permit.ask)).collect();
    let record = EpochRecord { token, asks, attempt: execution.attempt, settled: spoken };
    context.put_cold(key::epoch(execution.id, execution.epoch), record.encode());
    if let Some(oldest) = execution.epoch.checked_sub(EPOCHS_MAX).filter(|oldest| *oldest > 0) {
        context.delete_cold(key::epoch(execution.id, oldest));
    }
    end_each(context, execution, spoken, over);
}

/// A worker whose lease was taken without its word has spoken after all: its charges came before, so what is left of its holds
/// is free. Says whether there was anything to settle.
pub(super) fn settle_late(context: &mut Context<'_>, lease: &LeaseRef) -> Result<bool, Refusal> {
    let at = key::epoch(lease.execution, lease.epoch);
    let budgets = match context.partition.execution(lease.execution) {
        Some(open) if open.policy.budgets.is_empty() => return Ok(false),
        Some(open) => open.clone(),
        None => match context.archived(None, lease.execution) {
            Err(Refusal::NotFound(_)) => return Ok(false),
            other => other?,
        },
    };
    let Some(record) = context.decode::<EpochRecord>(&at)? else { return Ok(false) };
    if record.settled || !record.token.matches(&lease.token) {
        return Ok(false);
    }
    settle(context, &budgets, lease.epoch, record);
    Ok(true)
}

/// A step that earlier leases of an execution began has a result: what they left in doubt is free. Only the latest count, as
/// doubt does not last.
pub(super) fn settle_earlier(
    context: &mut Context<'_>,
    id: ExecutionId,
    epochs: std::ops::Range<u32>,
) -> Result<(), Refusal> {
    let Some(execution) = context.partition.execution(id).filter(|e| !e.policy.budgets.is_empty()).cloned()
    else {
        return Ok(());
    };
    let first = epochs.start.max(epochs.end.saturating_sub(DOUBTFUL_EPOCHS));
    let keys: Vec<_> = (first..epochs.end).map(|epoch| (epoch, key::epoch(id, epoch))).collect();
    let unread: Vec<_> = keys.iter().filter(|(_, at)| context.read(at).is_err()).collect();
    if !unread.is_empty() {
        return Err(Refusal::Cold(unread.into_iter().map(|(_, at)| at.clone()).collect()));
    }
    for (epoch, at) in keys {
        if let Some(record) = context.decode::<EpochRecord>(&at)?.filter(|record| !record.settled) {
            settle(context, &execution, epoch, record);
        }
    }
    Ok(())
}

/// Nothing that was spent under an earlier lease can come any more.
fn settle(context: &mut Context<'_>, execution: &Execution, epoch: u32, mut record: EpochRecord) {
    for (n, ask) in record.asks.iter().enumerate().filter(|(_, ask)| **ask > 0) {
        if let Some(tree) = tree_of(execution, n) {
            let key = PermitKey { execution: execution.id, ask: *ask, n: n as u8 };
            // What an attempt has cost that goes on is known when it is over.
            tell(context, tree, Message::End { key, settled: true, over: true });
        }
    }
    record.settled = true;
    context.put_cold(key::epoch(execution.id, epoch), record.encode());
}

/// Whether an execution of this partition has asked under this very key, in that tree.
pub fn wants(partition: &Partition, key: &PermitKey, tree: PartitionId) -> bool {
    let execution = partition.execution(key.execution);
    execution.is_some_and(|execution| {
        let permits = execution.spending.as_deref().map(|spending| spending.permits.as_slice());
        let permit = permits.and_then(|permits| permits.get(usize::from(key.n))?.as_ref());
        permit.is_some_and(|permit| permit.ask == key.ask)
            && tree_of(execution, usize::from(key.n)) == Some(tree)
    })
}

/// An execution of this partition that has asked under this very key.
fn asking(context: &Context<'_>, key: &PermitKey) -> Option<Execution> {
    let execution = context.partition.execution(key.execution)?;
    let spending = execution.spending.as_deref()?;
    let permit = spending.permits.get(usize::from(key.n))?.as_ref()?;
    (permit.ask == key.ask).then(|| execution.clone())
}

fn set(spending: &mut Spending, n: usize, state: PermitState) {
    if let Some(Some(permit)) = spending.permits.get_mut(n) {
        permit.state = state;
    }
}
