//! What is free: limits against what is used and held, at every level of a path.

use std::collections::BTreeMap;

use crate::Millis;
use crate::model::{Amounts, Budget, Counters, Shortfall, Window, WindowCounter, WindowKind, levels};
use crate::partition::Partition;

/// One limit as it stands.
struct Standing<'a> {
    path: &'a str,
    window: &'a Window,
    dimension: &'a str,
    /// The hard limit with what is left of top-ups.
    limit: u64,
    /// What counts against it.
    used: u64,
    held: u128,
    counter: Option<&'a WindowCounter>,
    now: Millis,
}

impl Standing<'_> {
    /// What is missing for so much more to be held.
    fn lacks(&self, more: u64) -> Option<Shortfall> {
        let wanted = u128::from(self.used) + self.held + u128::from(more);
        let missing = wanted.checked_sub(u128::from(self.limit)).filter(|missing| *missing > 0)?;
        Some(self.shortfall(missing))
    }

    /// When something that was used stops counting next.
    fn resets_at(&self) -> Option<Millis> {
        match &self.window.kind {
            WindowKind::Total => None,
            WindowKind::Rolling { .. } => self.counter.and_then(|counter| counter.next_end(self.now)),
            calendar => Some(calendar.period(self.now).end).filter(|end| *end < Millis::MAX),
        }
    }

    fn shortfall(&self, missing: u128) -> Shortfall {
        let fits = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        Shortfall {
            path: self.path.to_owned(),
            window: self.window.name.clone(),
            dimension: self.dimension.to_owned(),
            limit: self.limit,
            used: self.used,
            held: fits(self.held),
            missing: fits(missing),
            resets_at: self.resets_at(),
        }
    }
}

/// Calls `judge` with every hard limit of the levels of a path, from the root down, until it finds something.
fn first<T>(
    partition: &Partition,
    namespace: &str,
    path: &str,
    now: Millis,
    mut judge: impl FnMut(&Standing<'_>) -> Option<T>,
) -> Option<T> {
    let unused = Counters::default();
    for level in levels(path) {
        let Some(budget) = partition.budget(namespace, level).filter(|budget| budget.acts()) else {
            continue;
        };
        let counters = partition.counters(namespace, level).unwrap_or(&unused);
        for window in &budget.windows {
            let counter = counters.window(&window.name);
            for (dimension, limit) in &window.limits {
                let Some(hard) = limit.hard else { continue };
                let left = counter.map_or(0, |counter| counter.top_ups_left(dimension, now));
                let standing = Standing {
                    path: level,
                    window,
                    dimension,
                    limit: hard.saturating_add(left),
                    used: counter.map_or(0, |counter| counter.counted(dimension, now)),
                    held: partition.held(namespace, level, dimension),
                    counter,
                    now,
                };
                if let Some(found) = judge(&standing) {
                    return Some(found);
                }
            }
        }
    }
    None
}

/// What keeps work that is to hold `amounts` from starting now. Where nothing at all is free of a limited dimension nothing
/// starts, although it asks for nothing of it.
pub(super) fn shortfall(
    partition: &Partition,
    namespace: &str,
    path: &str,
    amounts: &Amounts,
    now: Millis,
) -> Option<Shortfall> {
    first(partition, namespace, path, now, |at| at.lacks(amounts.get(at.dimension).max(1)))
}

/// What keeps work that runs from holding `more`.
pub(super) fn shortfall_of_more(
    partition: &Partition,
    namespace: &str,
    path: &str,
    more: &Amounts,
    now: Millis,
) -> Option<Shortfall> {
    first(partition, namespace, path, now, |at| {
        Some(more.get(at.dimension)).filter(|more| *more > 0).and_then(|more| at.lacks(more))
    })
}

/// What keeps `amounts` from being held ever, as limits are.
pub(super) fn too_large(
    partition: &Partition,
    namespace: &str,
    path: &str,
    amounts: &Amounts,
    now: Millis,
) -> Option<Shortfall> {
    first(partition, namespace, path, now, |at| {
        let beyond = amounts.get(at.dimension).checked_sub(at.limit).filter(|beyond| *beyond > 0)?;
        Some(at.shortfall(u128::from(beyond)))
    })
}

/// The first limit that is exceeded by what is used and held, in a dimension of `amounts`.
pub(super) fn exceeded(
    partition: &Partition,
    namespace: &str,
    path: &str,
    amounts: &Amounts,
    now: Millis,
) -> Option<Shortfall> {
    first(partition, namespace, path, now, |at| {
        let spent = amounts.get(at.dimension);
        let over =
            (u128::from(at.used) + at.held).checked_sub(u128::from(at.limit)).filter(|over| *over > 0)?;
        (spent > 0).then(|| at.shortfall(over.min(u128::from(spent))))
    })
}

/// The first limit of one budget that what is used exceeds, whether or not the budget acts.
pub(super) fn breach(budget: &Budget, counters: &Counters, now: Millis) -> Option<(String, String)> {
    budget.windows.iter().find_map(|window| {
        let counter = counters.window(&window.name)?;
        let is_over = |dimension: &str, hard: u64| {
            counter.counted(dimension, now) > hard.saturating_add(counter.top_ups_left(dimension, now))
        };
        let limits = window.limits.iter().filter_map(|(dimension, limit)| Some((dimension, limit.hard?)));
        let over = limits.into_iter().find(|(dimension, hard)| is_over(dimension, *hard));
        over.map(|(dimension, _)| (window.name.clone(), dimension.clone()))
    })
}

/// Whether what is used and held exceeds a hard limit of one budget.
pub(super) fn is_overcommitted(
    partition: &Partition,
    namespace: &str,
    path: &str,
    budget: &Budget,
    counters: &Counters,
    now: Millis,
) -> bool {
    budget.windows.iter().any(|window| {
        let counter = counters.window(&window.name);
        window.limits.iter().any(|(dimension, limit)| {
            let Some(hard) = limit.hard else { return false };
            let (used, left) =
                counter.map_or((0, 0), |c| (c.counted(dimension, now), c.top_ups_left(dimension, now)));
            u128::from(used) + partition.held(namespace, path, dimension)
                > u128::from(hard.saturating_add(left))
        })
    })
}

/// The tightest hard limit of a dimension over all levels of a path.
pub(super) fn tightest(
    partition: &Partition,
    namespace: &str,
    path: &str,
    dimension: &str,
    now: Millis,
) -> Option<u64> {
    let mut tightest = None;
    first::<()>(partition, namespace, path, now, |at| {
        if at.dimension == dimension {
            tightest = Some(tightest.map_or(at.limit, |least: u64| least.min(at.limit)));
        }
        None
    });
    tightest
}

/// For each limited dimension the tightest hard limit, and how much the levels of a path leave free together.
pub(super) fn bounds(
    partition: &Partition,
    namespace: &str,
    path: &str,
    now: Millis,
) -> BTreeMap<String, (u64, u64)> {
    let mut bounds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    first::<()>(partition, namespace, path, now, |at| {
        let taken = u128::from(at.used) + at.held;
        let free = u64::try_from(u128::from(at.limit).saturating_sub(taken)).unwrap_or(u64::MAX);
        let (limit, left) = bounds.entry(at.dimension.to_owned()).or_insert((u64::MAX, u64::MAX));
        (*limit, *left) = ((*limit).min(at.limit), (*left).min(free));
        None
    });
    bounds
}

/// What may still be held of each dimension that a window of a budget limits.
pub(super) fn free(
    partition: &Partition,
    namespace: &str,
    path: &str,
    window: &Window,
    counter: Option<&WindowCounter>,
    now: Millis,
) -> Vec<(String, u64)> {
    let limits = window.limits.iter().filter_map(|(dimension, limit)| Some((dimension, limit.hard?)));
    let free = limits.map(|(dimension, hard)| {
        let (used, left) =
            counter.map_or((0, 0), |c| (c.counted(dimension, now), c.top_ups_left(dimension, now)));
        let taken = u128::from(used) + partition.held(namespace, path, dimension);
        let free = u128::from(hard.saturating_add(left)).saturating_sub(taken);
        (dimension.clone(), u64::try_from(free).unwrap_or(u64::MAX))
    });
    free.collect()
}
