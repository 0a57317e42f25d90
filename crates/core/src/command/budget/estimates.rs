//! What attempts of a kind have cost under a path: learned from what they settle, and gone with the budget.

use super::super::context::Context;
use crate::key;
use crate::model::{Amounts, Estimate, Hold, Record};

/// Kinds that are told apart under one path. Those of whom is learned later are learned together: kinds are the submitters'
/// words, and nobody keeps them from using a new one each time.
const KINDS_MAX: usize = 256;

/// The kind of all that are not told apart; no execution's kind is empty.
const REST: &str = "";

/// What an attempt of this kind is to hold, as far as that is known.
pub(super) fn learned(context: &Context<'_>, namespace: &str, path: &str, kind: &str) -> Option<Amounts> {
    let of = |kind| match context.partition.other(&key::estimate(namespace, path, kind)) {
        Some(Record::Estimate(estimate)) => Some(estimate),
        _ => None,
    };
    of(kind).or_else(|| of(REST)).and_then(|estimate| estimate.p95())
}

/// An attempt of this kind is over, and has cost so much.
pub(super) fn learn(context: &mut Context<'_>, hold: &Hold, kind: &str, cost: &Amounts) {
    let (namespace, path) = (hold.namespace.as_str(), hold.path.as_str());
    if context.partition.budget(namespace, path).is_none() {
        return;
    }
    let mut at = key::estimate(namespace, path, kind);
    if context.partition.other(&at).is_none()
        && context.partition.estimates(namespace, path).count() >= KINDS_MAX
    {
        at = key::estimate(namespace, path, REST);
    }
    let mut estimate = match context.partition.other(&at) {
        Some(Record::Estimate(estimate)) => Estimate::clone(estimate),
        _ => Estimate::default(),
    };
    estimate.record(cost);
    context.put_record(at, Some(Record::Estimate(Box::new(estimate))));
}

/// The budget is no more, and what was learned of it with it.
pub(super) fn forget(context: &mut Context<'_>, namespace: &str, path: &str) {
    let known: Vec<_> = context.partition.estimates(namespace, path).collect();
    for at in known {
        context.put_record(at, None);
    }
}
