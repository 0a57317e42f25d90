//! What the clock has to do for budgets: holds expire, doubt ends, periods end for those who wait.

use super::super::context::Context;
use super::super::permit::tell;
use super::super::{Outcome, Refusal};
use super::{book, counters, put_counters, queue};
use crate::key;
use crate::model::{HoldKey, Message, Record};
use crate::partition::Due;

/// Of what is due, so much at once.
const ELAPSED_MAX: usize = 200;

/// Do what is due for budgets here.
#[derive(Clone, Debug)]
pub struct Elapse;

/// Permits asked after in one message.
const CHECKED_MAX: usize = 1_000;

impl Elapse {
    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let now = context.now();
        for due in context.partition.budgets_due(now, ELAPSED_MAX) {
            match due {
                Due::Hold(at) => expire(context, at),
                Due::Level(namespace, path) => end_period(context, &namespace, &path)?,
            }
        }
        Ok(Outcome::Done)
    }
}

fn expire(context: &mut Context<'_>, at: HoldKey) {
    let Some(mut hold) = context.partition.hold(&at).cloned() else { return };
    if hold.in_doubt() {
        // Nothing is learned from it: what it has cost in the end nobody knows.
        hold.kind = None;
        queue::release(context, at, &hold);
    } else {
        // Only holds without a lease expire on their own.
        hold.until = None;
        context.put_record(key::hold(&at), Some(Record::Hold(Box::new(hold.clone()))));
        queue::doubt(context, at, hold);
    }
}

fn end_period(context: &mut Context<'_>, namespace: &str, path: &str) -> Result<(), Refusal> {
    book::roll(context, namespace, path)?;
    let now = context.now();
    if let Some(budget) = context.partition.budget(namespace, path).cloned() {
        let mut counters = counters(context, namespace, path, &budget);
        counters.windows.iter_mut().for_each(|window| window.tidy(now));
        book::latch(context, namespace, path, &budget, &mut counters);
        put_counters(context, namespace, path, counters);
    } else {
        context.put_record(key::counters(namespace, path), None);
    }
    queue::grant_waiting(context, namespace, path);
    Ok(())
}

/// A tree asks an execution's partition which permits it still wants.
pub(super) fn ask_after(context: &mut Context<'_>, keys: Vec<crate::model::PermitKey>) {
    let mut by_partition: std::collections::BTreeMap<_, Vec<_>> = std::collections::BTreeMap::new();
    for key in keys {
        by_partition.entry(key.execution.partition()).or_default().push(key);
    }
    for (partition, keys) in by_partition {
        for keys in keys.chunks(CHECKED_MAX) {
            tell(context, partition, Message::Check(keys.to_vec()));
        }
    }
}
