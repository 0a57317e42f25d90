//! Executions ask, wait in order, and are granted. Nobody overtakes at a level that is short.

use std::collections::BTreeSet;

use super::super::Refusal;
use super::super::context::Context;
use super::super::permit::tell;
use super::{book, estimates, room, states};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::PartitionId;
use crate::key;
use crate::model::{
    Amounts, Ask, Denial, ENDED_HOLD_MS, ESTIMATE_SHARE, EndedHold, Entry, EntryKind, HeldPermit, Hold,
    HoldKey, Message, PermitKey, Record, Shortfall, is_under, levels, tree,
};
use crate::partition::Partition;

/// Grants of one command: more follow with the next.
const GRANTS_MAX: usize = 500;

fn answer(context: &mut Context<'_>, key: PermitKey, message: Message) {
    tell(context, key.execution.partition(), message);
}

/// A hold stands, and so much is left of it.
fn say_granted(context: &mut Context<'_>, key: PermitKey) {
    let hold = context.partition.hold(&HoldKey::Permit(key));
    let held = hold.map(|hold| hold.held.clone()).unwrap_or_default();
    answer(context, key, Message::Granted { key, held });
}

/// An execution asks.
pub(in super::super) fn asked(context: &mut Context<'_>, key: PermitKey, ask: &Ask) -> Result<(), Refusal> {
    if context.partition.hold(&HoldKey::Permit(key)).is_some() {
        say_granted(context, key);
        return Ok(());
    }
    if context.partition.budget(&ask.namespace, &ask.path).is_none() {
        answer(context, key, Message::Refused { key, denial: Denial::NotFound });
        return Ok(());
    }
    book::roll(context, &ask.namespace, &ask.path)?;
    let now = context.now();
    let amounts = wanted(context, ask);
    if let Some(shortfall) = room::too_large(context.partition, &ask.namespace, &ask.path, &amounts, now) {
        drop_waiter(context, key);
        answer(context, key, Message::Refused { key, denial: Denial::TooLarge(shortfall) });
        return Ok(());
    }
    // Nobody who waits is overtaken: it stands in line for a moment, and the line is looked through.
    let waited = context.partition.waiting(&ask.namespace, tree(&ask.path)) > 0;
    let short = room::shortfall(context.partition, &ask.namespace, &ask.path, &amounts, now);
    if !waited && short.is_none() {
        grant(context, key, ask, amounts);
        return Ok(());
    }
    context.put_record(key::waiter(&key), Some(Record::Waiter(Box::new(ask.clone()))));
    if short.is_none() {
        grant_waiting(context, &ask.namespace, &ask.path);
        if context.partition.hold(&HoldKey::Permit(key)).is_some() {
            return Ok(());
        }
    }
    let shortfall = short.or_else(|| ahead(context, ask, &amounts)).unwrap_or_else(|| behind(ask));
    if !ask.queue || ask.as_next == Some(true) && !is_next(context, key, ask, &shortfall) {
        drop_waiter(context, key);
        answer(context, key, Message::Refused { key, denial: Denial::NotNow(shortfall) });
        return Ok(());
    }
    if shortfall.missing > 0 {
        states::exhausted(context, &ask.namespace, &shortfall.path);
    }
    answer(context, key, Message::Queued { key, shortfall });
    Ok(())
}

/// Whether nobody who waits at the level that is short comes before it.
fn is_next(context: &Context<'_>, key: PermitKey, ask: &Ask, shortfall: &Shortfall) -> bool {
    let heads = context.partition.heads(&ask.namespace, &ask.path, None);
    let mut before = heads.take_while(|(place, _)| *place < (ask.order, key));
    !before.any(|(_, path)| is_under(path, &shortfall.path))
}

/// What it would take if those before it had theirs.
fn ahead(context: &Context<'_>, ask: &Ask, amounts: &Amounts) -> Option<Shortfall> {
    let before =
        context.partition.queue(&ask.namespace, &ask.path).take_while(|(order, _)| *order <= ask.order);
    let mut sum = amounts.clone();
    for (_, key) in before {
        let Some(other) = context.partition.waiter(&key) else { continue };
        // More than fits is short anyway.
        if sum.add(&wanted(context, other)).is_err() {
            break;
        }
    }
    room::shortfall(context.partition, &ask.namespace, &ask.path, &sum, context.now())
}

/// It waits only because others do.
fn behind(ask: &Ask) -> Shortfall {
    Shortfall {
        path: ask.path.clone(),
        window: String::new(),
        dimension: String::new(),
        limit: 0,
        used: 0,
        held: 0,
        missing: 0,
        resets_at: None,
    }
}

/// What an ask is to hold: what it says, or an estimate of what its kind costs, never more than its caps leave.
pub(super) fn wanted(context: &Context<'_>, ask: &Ask) -> Amounts {
    let amounts = match &ask.hold {
        Some(hold) => hold.clone(),
        None => estimate(context, ask),
    };
    let amounts = match &ask.missing {
        Some(missing) => amounts.or_more(missing),
        None => amounts,
    };
    let Some(cap) = &ask.cap else { return amounts };
    let capped = amounts.iter().map(|(dimension, amount)| {
        let cap = cap.iter().find(|(name, _)| name == dimension).map(|(_, cap)| *cap);
        (dimension, cap.map_or(amount, |cap| amount.min(cap)))
    });
    Amounts::of(capped)
}

fn estimate(context: &Context<'_>, ask: &Ask) -> Amounts {
    let partition = &context.partition;
    let learned = estimates::learned(context, &ask.namespace, &ask.path, &ask.kind);
    let now = context.now();
    let Some(learned) = learned else {
        let budgets = levels(&ask.path).filter_map(|level| partition.budget(&ask.namespace, level));
        let given = budgets.filter_map(|budget| budget.default_hold.clone()).next_back();
        return given.unwrap_or_else(|| unknown(partition, ask, now));
    };
    let capped = learned.iter().map(|(dimension, amount)| {
        let tightest = room::tightest(partition, &ask.namespace, &ask.path, dimension, now);
        (dimension, tightest.map_or(amount, |limit| amount.min(share(limit))))
    });
    Amounts::of(capped)
}

/// What is held for work of which nobody knows what it costs: as much as an estimate may be, or what there is. Held nothing,
/// all of many that start together would find the last of a budget free.
fn unknown(partition: &Partition, ask: &Ask, now: Millis) -> Amounts {
    let bounds = room::bounds(partition, &ask.namespace, &ask.path, now);
    Amounts::of(
        bounds.iter().map(|(dimension, (limit, free))| (dimension.as_str(), share(*limit).min(*free))),
    )
}

/// What an estimate may take of a limit: something, also of a small one.
fn share(limit: u64) -> u64 {
    (limit / ESTIMATE_SHARE).max(1).min(limit)
}

fn grant(context: &mut Context<'_>, key: PermitKey, ask: &Ask, amounts: Amounts) {
    put_hold(context, key, ask, amounts);
    say_granted(context, key);
}

fn put_hold(context: &mut Context<'_>, key: PermitKey, ask: &Ask, amounts: Amounts) {
    let promised = ask.promised.as_ref().map(|promised| promised.at_most(&amounts));
    let hold = Hold {
        namespace: ask.namespace.clone(),
        path: ask.path.clone(),
        held: amounts.clone(),
        charged: Amounts::default(),
        kind: Some(ask.kind.clone()),
        until: None,
        in_doubt: None,
        extends: None,
        granted: amounts,
        cap: ask.cap.clone(),
        before: ask.before.clone(),
        promised,
    };
    context.put_record(key::hold(&HoldKey::Permit(key)), Some(Record::Hold(Box::new(hold))));
}

fn drop_waiter(context: &mut Context<'_>, key: PermitKey) {
    let at = key::waiter(&key);
    let Some(Record::Waiter(ask)) = context.partition.other(&at) else { return };
    let (namespace, path) = (ask.namespace.clone(), ask.path.clone());
    context.put_record(at, None);
    states::opened(context, &namespace, &path);
}

/// Something may have become free under a tree: grants what fits, best first. At a level that is short for its best nobody
/// else is served, so that small wants do not keep a large one waiting for ever. Says which levels are, and for what.
pub(super) fn grant_waiting(context: &mut Context<'_>, namespace: &str, path: &str) -> Vec<Shortfall> {
    states::committed(context, namespace, path);
    let mut short: Vec<Shortfall> = Vec::new();
    if context.partition.waiting(namespace, tree(path)) == 0 {
        return short;
    }
    let now = context.now();
    let mut granted = 0;
    let mut last = None;
    // Who follows a head in its queue stands behind it, so every queue's next is met further on. Where the whole tree is
    // short nobody is looked at any more.
    while !short.iter().any(|short| short.path == tree(path)) {
        let next = {
            let mut heads = context.partition.heads(namespace, path, last);
            let next = heads.find(|(_, path)| !short.iter().any(|short| is_under(path, &short.path)));
            next.map(|(place, path)| (place, path.to_owned()))
        };
        let Some((place, path)) = next else { break };
        last = Some(place);
        let (_, key) = place;
        let Some(ask) = context.partition.waiter(&key).cloned() else { continue };
        if granted == GRANTS_MAX {
            // It is its turn next.
            short.push(Shortfall { path: tree(&path).to_owned(), ..behind(&ask) });
            break;
        }
        let amounts = wanted(context, &ask);
        if let Some(shortfall) = room::too_large(context.partition, namespace, &path, &amounts, now) {
            drop_waiter(context, key);
            answer(context, key, Message::Refused { key, denial: Denial::TooLarge(shortfall) });
            continue;
        }
        match room::shortfall(context.partition, namespace, &path, &amounts, now) {
            Some(shortfall) => {
                states::exhausted(context, namespace, &shortfall.path);
                short.push(shortfall);
            }
            None => {
                drop_waiter(context, key);
                grant(context, key, &ask, amounts);
                granted += 1;
            }
        }
    }
    short
}

/// A waiter's place is another.
pub(in super::super) fn reordered(context: &mut Context<'_>, key: PermitKey, order: Millis) {
    if let Some(mut ask) = context.partition.waiter(&key).cloned() {
        ask.order = order;
        let (namespace, path) = (ask.namespace.clone(), ask.path.clone());
        context.put_record(key::waiter(&key), Some(Record::Waiter(Box::new(ask))));
        grant_waiting(context, &namespace, &path);
    }
}

/// A permit is wanted no longer.
pub(in super::super) fn ended(context: &mut Context<'_>, key: PermitKey, settled: bool, over: bool) {
    if let Some(ask) = context.partition.waiter(&key).cloned() {
        drop_waiter(context, key);
        grant_waiting(context, &ask.namespace, &ask.path);
    }
    let at = HoldKey::Permit(key);
    let Some(mut hold) = context.partition.hold(&at).cloned() else { return };
    if !over {
        // The attempt goes on under another hold, which knows of this one: what it costs is learned once.
        hold.kind = None;
    }
    if settled {
        release(context, at, &hold);
    } else {
        doubt(context, at, hold);
    }
}

/// What is kept here for executions that don't want it, though none of them has ended it: dropped, and told as what it is. What
/// was ended meanwhile is gone by now, or in doubt and not to be ended by this.
pub(in super::super) fn unwanted(context: &mut Context<'_>, keys: &[PermitKey]) {
    for key in keys {
        let hold = context.partition.hold(&HoldKey::Permit(*key)).filter(|hold| !hold.in_doubt());
        let place = match (hold, context.partition.waiter(key)) {
            (Some(hold), _) => Some((hold.namespace.clone(), hold.path.clone(), hold.held.clone())),
            (None, Some(ask)) => Some((ask.namespace.clone(), ask.path.clone(), Amounts::default())),
            (None, None) => None,
        };
        let Some((namespace, path, held)) = place else { continue };
        let entry = Entry {
            execution: Some(key.execution),
            step: Some("held".to_owned()),
            less: (!held.is_zero()).then_some(held),
            ..Entry::new(context.now(), EntryKind::Repair, &path, Amounts::default())
        };
        book::append(context, &namespace, &entry);
        context.event_of_budget(&namespace, &path, EventKind::BudgetRepaired);
        ended(context, *key, true, false);
    }
}

/// Ends a hold by its owner's word: what is left of it is free.
pub(super) fn release(context: &mut Context<'_>, at: HoldKey, hold: &Hold) {
    let mut cost = hold.before.clone().unwrap_or_default();
    if let (Some(kind), HoldKey::Permit(_)) = (&hold.kind, at)
        && cost.add(&hold.charged).is_ok()
        && !cost.is_zero()
    {
        estimates::learn(context, hold, kind, &cost);
    }
    forget(context, at, hold);
    grant_waiting(context, &hold.namespace, &hold.path);
}

/// Takes a hold away. One without a lease is remembered for a while: its owner may not have heard, and say again what it said.
pub(super) fn forget(context: &mut Context<'_>, at: HoldKey, hold: &Hold) {
    context.put_record(key::hold(&at), None);
    let HoldKey::Free(id) = at else { return };
    let now = context.now();
    let (namespace, path, granted) = (hold.namespace.clone(), hold.path.clone(), hold.granted.clone());
    context.put_cold(key::ended_hold(id), EndedHold { namespace, path, granted, at: now }.encode());
    context.put_cold(key::key_trim(now.saturating_add(ENDED_HOLD_MS), id.0), Vec::new());
}

/// The owner ended without a word: what is left waits for a late one.
pub(super) fn doubt(context: &mut Context<'_>, at: HoldKey, mut hold: Hold) {
    if hold.held.is_zero() {
        return forget(context, at, &hold);
    }
    if hold.in_doubt() {
        return;
    }
    let budget = context.partition.budget(&hold.namespace, &hold.path);
    let wait = budget.map_or(crate::model::IN_DOUBT_MS, |budget| budget.in_doubt_ms());
    hold.in_doubt = Some(true);
    hold.until = Some(context.now().saturating_add(wait));
    context.put_record(key::hold(&at), Some(Record::Hold(Box::new(hold))));
}

/// A partition says all that it holds and waits for here: what it does not name ends, what it holds stands.
pub(in super::super) fn compared(
    context: &mut Context<'_>,
    from: PartitionId,
    held: &[HeldPermit],
    pending: &[PermitKey],
) {
    let named: BTreeSet<PermitKey> =
        held.iter().map(|permit| permit.key).chain(pending.iter().copied()).collect();
    let waiters: Vec<PermitKey> = context
        .partition
        .waiters()
        .map(|(key, _)| key)
        .filter(|key| key.execution.partition() == from)
        .collect();
    let holds: Vec<PermitKey> = context
        .partition
        .permits()
        .filter(|(key, hold)| key.execution.partition() == from && !hold.in_doubt())
        .map(|(key, _)| key)
        .collect();
    for key in waiters.into_iter().chain(holds).filter(|key| !named.contains(key)) {
        // How it ended there is said behind this, if it is known: a worker may still be spending from it.
        ended(context, key, false, false);
    }
    for HeldPermit { key, ask } in held {
        if context.partition.hold(&HoldKey::Permit(*key)).is_none() {
            drop_waiter(context, *key);
            let amounts = wanted(context, ask);
            // Above the limit if need be: the attempt is there.
            put_hold(context, *key, ask, amounts);
            states::committed(context, &ask.namespace, &ask.path);
            // It may have ended there since, or have taken an earlier no of ours for the last word.
            say_granted(context, *key);
        }
    }
}

/// Says again all that stands here for a partition's executions.
pub(in super::super) fn restated(context: &mut Context<'_>, to: PartitionId) {
    let holds: Vec<PermitKey> = context
        .partition
        .permits()
        .filter(|(key, hold)| key.execution.partition() == to && !hold.in_doubt())
        .map(|(key, _)| key)
        .collect();
    let waiters: Vec<(PermitKey, Ask)> = context
        .partition
        .waiters()
        .filter(|(key, _)| key.execution.partition() == to)
        .map(|(key, ask)| (key, ask.clone()))
        .collect();
    for key in holds {
        say_granted(context, key);
    }
    for (key, ask) in waiters {
        let amounts = wanted(context, &ask);
        let now = context.now();
        let shortfall = room::shortfall(context.partition, &ask.namespace, &ask.path, &amounts, now);
        let shortfall = shortfall.unwrap_or_else(|| behind(&ask));
        answer(context, key, Message::Queued { key, shortfall });
    }
}
