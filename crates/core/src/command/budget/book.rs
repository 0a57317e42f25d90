//! An entry of the ledger, and with it the counters of every level of its path: all or none.

use super::super::Refusal;
use super::super::context::Context;
use super::{counters, put_counters, room};
use crate::Millis;
use crate::event::EventKind;
use crate::key;
use crate::model::{
    Amounts, Budget, Counted, Counters, Entry, EntryKind, Message, OnHard, Record, TopUp, TreeRecord, Window,
    WindowCounter, WindowKind, levels, tree,
};

/// Puts an entry behind the others of its tree, and says which it is.
pub(super) fn append(context: &mut Context<'_>, namespace: &str, entry: &Entry) -> u64 {
    let tree = tree(&entry.path);
    let at = key::tree(namespace, tree);
    let mut record = match context.partition.other(&at) {
        Some(Record::Tree(record)) => record.clone(),
        _ => TreeRecord::default(),
    };
    record.seq += 1;
    let seq = record.seq;
    context.put_record(at, Some(Record::Tree(record)));
    context.put_cold(key::entry(namespace, tree, seq), entry.encode());
    seq
}

/// Adds to what every level of the path has used, at the present instant. Nothing changes if a sum does not fit.
pub(super) fn add(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    amounts: &Amounts,
) -> Result<(), Refusal> {
    let now = context.now();
    let mut changed: Vec<(String, Budget, Counters)> = Vec::new();
    for level in levels(path) {
        let Some(budget) = context.partition.budget(namespace, level).cloned() else { continue };
        let mut counters = counters(context, namespace, level, &budget);
        for (window, counter) in budget.windows.iter().zip(&mut counters.windows) {
            counter.periods.retain(|period| period.end > now);
            counter
                .add(&window.kind, amounts, now, now)
                .map_err(|overflow| Refusal::AmountOverflow { dimension: overflow.dimension })?;
        }
        changed.push((level.to_owned(), budget, counters));
    }
    for (level, budget, mut counters) in changed {
        tell_soft(context, namespace, &level, &budget, &mut counters);
        latch(context, namespace, &level, &budget, &mut counters);
        put_counters(context, namespace, &level, counters);
    }
    Ok(())
}

/// Takes back what the entry `seq` added at `at` to what every level of its path has used, where it counted and still does.
pub(super) fn refund(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    amounts: &Amounts,
    (seq, at): (u64, Millis),
) {
    let now = context.now();
    less(context, namespace, path, |_, counter| {
        if seq > counter.since {
            counter.refund(amounts, at, now);
        }
    });
}

/// Takes from what every level of a path has used in the present period, though it were more than that.
pub(super) fn take_off(context: &mut Context<'_>, namespace: &str, path: &str, amounts: &Amounts) {
    let now = context.now();
    less(context, namespace, path, |window, counter| counter.take_off(&window.kind, amounts, now, now));
}

/// Makes what every level of a path has used less, in each of its windows.
fn less(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    mut change: impl FnMut(&Window, &mut WindowCounter),
) {
    for level in levels(path) {
        let Some(budget) = context.partition.budget(namespace, level).cloned() else { continue };
        let mut counters = counters(context, namespace, level, &budget);
        for (window, counter) in budget.windows.iter().zip(&mut counters.windows) {
            change(window, counter);
        }
        latch(context, namespace, level, &budget, &mut counters);
        put_counters(context, namespace, level, counters);
    }
}

/// Notes whether a budget is breached. A breach is told once, to every partition that runs work under it.
pub(super) fn latch(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    budget: &Budget,
    counters: &mut Counters,
) {
    let was = counters.breached == Some(true);
    let is = room::breach(budget, counters, context.now()).is_some();
    if is == was {
        return;
    }
    counters.breached = is.then_some(true);
    if !is {
        context.event_of_budget(namespace, path, EventKind::BudgetCleared);
        return;
    }
    counters.breaches += 1;
    context.event_of_budget(namespace, path, EventKind::BudgetBreached);
    stop(context, namespace, path, budget);
}

/// Tells every partition that runs work under a breached budget to stop it, if that is what the budget does.
pub(super) fn stop(context: &mut Context<'_>, namespace: &str, path: &str, budget: &Budget) {
    if !budget.acts() || budget.on_hard() == OnHard::Block {
        return;
    }
    let partitions: Vec<_> = context.partition.open_in(namespace, path).collect();
    for partition in partitions {
        let message = Message::Stop {
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            on_hard: budget.on_hard(),
            grace_ms: budget.stop_grace_ms(),
        };
        super::super::permit::tell(context, partition, message);
    }
}

/// Tells each soft limit that is reached, once per period.
fn tell_soft(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    budget: &Budget,
    counters: &mut Counters,
) {
    let now = context.now();
    for (window, counter) in budget.windows.iter().zip(&mut counters.windows) {
        if window.limits.values().all(|limit| limit.soft.is_none()) {
            continue;
        }
        let began = match &window.kind {
            // Of a rolling window a stretch of its length stands for a period.
            WindowKind::Rolling { every_ms } => now - now.rem_euclid((*every_ms).max(1)),
            kind => Counted::at(kind, now).start,
        };
        if counter.told_in != began {
            counter.told = None;
            counter.told_in = began;
        }
        for (dimension, limit) in &window.limits {
            let used = counter.used(dimension, now);
            for soft in limit.soft.iter().flatten() {
                let Some(amount) = soft.amount(limit.hard).filter(|amount| used >= *amount) else { continue };
                let told = (dimension.clone(), amount);
                if !counter.told.iter().flatten().any(|other| *other == told) {
                    counter.told.get_or_insert_default().push(told);
                    context.event_of_budget(namespace, path, EventKind::BudgetSoftLimit);
                }
            }
        }
    }
}

/// Begins new periods where they are due: what the last one left is carried over, if the budget says so.
pub(super) fn roll(context: &mut Context<'_>, namespace: &str, path: &str) -> Result<(), Refusal> {
    for level in levels(path) {
        let Some(budget) = context.partition.budget(namespace, level) else { continue };
        if budget.carry_over == Some(true) {
            let budget = budget.clone();
            carry_over(context, namespace, level, &budget)?;
        }
    }
    Ok(())
}

fn carry_over(
    context: &mut Context<'_>,
    namespace: &str,
    path: &str,
    budget: &Budget,
) -> Result<(), Refusal> {
    let now = context.now();
    let is_calendar = |kind: &WindowKind| !matches!(kind, WindowKind::Total | WindowKind::Rolling { .. });
    let before = counters(context, namespace, path, budget);
    let mut after = before.clone();
    let mut entries = Vec::new();
    for (window, counter) in
        budget.windows.iter().zip(&mut after.windows).filter(|(w, _)| is_calendar(&w.kind))
    {
        let present = Counted::at(&window.kind, now);
        let Some(last) = counter.periods.last().cloned().filter(|last| last.next <= now) else {
            if counter.periods.is_empty() {
                counter.periods.push(present);
            }
            continue;
        };
        let left = window.limits.iter().filter_map(|(dimension, limit)| {
            // Whole periods in between have used nothing.
            let counted = last.used.get(dimension).saturating_sub(last.topped.get(dimension));
            let counted = if last.next == present.start { counted } else { 0 };
            Some((dimension.as_str(), limit.hard?.saturating_sub(counted)))
        });
        let left = Amounts::of(left);
        counter.tidy(now);
        if !left.is_zero() {
            let id = format!("carry-over/{}/{}", window.name, present.start);
            let expires_at = Some(present.next);
            let top_up = TopUp { id: id.clone(), amounts: left.clone(), left: left.clone(), expires_at };
            counter.top_up(top_up, &Amounts::default(), now);
            entries.push(Entry {
                window: Some(window.name.clone()),
                charge_id: Some(id),
                expires_at,
                ..Entry::new(now, EntryKind::CarryOver, path, left)
            });
        }
        counter.periods.push(present);
    }
    if after != before {
        latch(context, namespace, path, budget, &mut after);
        put_counters(context, namespace, path, after);
        for entry in entries {
            append(context, namespace, &entry);
            context.event_of_budget(namespace, path, EventKind::BudgetCarriedOver);
        }
    }
    Ok(())
}
