//! Budgets: what may be spent under a path, in which windows, and what happens when it is.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::window::WindowKind;
use crate::Millis;

/// What an attempt left unsettled stays held this long, unless the budget says otherwise.
pub const IN_DOUBT_MS: Millis = 60_000;

/// Running code has this long to stop, unless the budget says otherwise.
pub const STOP_GRACE_MS: Millis = 30_000;

/// A learned estimate takes at most this part of the tightest limit, so that worst cases do not starve everybody.
pub const ESTIMATE_SHARE: u64 = 4;

/// What may be spent under a path.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Budget {
    /// One or more; each holds for itself.
    #[n(0)]
    pub windows: Vec<Window>,
    /// What is done to running work when it is breached; `None` is [`OnHard::Suspend`].
    #[n(1)]
    pub on_hard: Option<OnHard>,
    /// Held for an attempt that names no amount, until enough of its kind have settled.
    #[n(2)]
    pub default_hold: Option<Amounts>,
    /// By how much callers may go above a limit between two reports: declared, and shown beside it.
    #[n(3)]
    pub overshoot: Option<Amounts>,
    /// How long money stays held for an attempt that ended without its worker's word; `None` is [`IN_DOUBT_MS`].
    #[n(4)]
    pub in_doubt_ms: Option<Millis>,
    /// How long running code may take to stop; `None` is [`STOP_GRACE_MS`].
    #[n(5)]
    pub stop_grace_ms: Option<Millis>,
    /// It only watches: nothing is refused or stopped for it.
    #[n(6)]
    pub shadow: Option<bool>,
    /// What a period leaves unspent is added to the next.
    #[n(7)]
    pub carry_over: Option<bool>,
    /// Grows with every change.
    #[n(8)]
    pub generation: u64,
}

/// A stretch of time with limits of its own.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Window {
    /// Its name within the budget.
    #[n(0)]
    pub name: String,
    /// Which time.
    #[n(1)]
    pub kind: WindowKind,
    /// By dimension; what is not named is not limited.
    #[n(2)]
    pub limits: BTreeMap<String, Limit>,
}

/// The limits of one dimension.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Limit {
    /// `used + held` stays at or below it.
    #[n(0)]
    pub hard: Option<u64>,
    /// Each is told once per period when `used` reaches it.
    #[n(1)]
    pub soft: Option<Vec<Soft>>,
}

/// A limit that is only told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Soft {
    /// An amount.
    #[n(0)]
    Amount(#[n(0)] u64),
    /// Hundredths of the hard limit.
    #[n(1)]
    Percent(#[n(0)] u8),
}

/// What is done to work that runs under a breached budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum OnHard {
    /// It goes on; only nothing new starts.
    #[n(0)]
    Block,
    /// It is asked to stop, parks, and goes on from its journal when there is money again.
    #[default]
    #[n(1)]
    Suspend,
    /// It is cancelled.
    #[n(2)]
    Cancel,
    /// It fails, and is not tried again.
    #[n(3)]
    Fail,
}

impl Budget {
    /// What is done when it is breached.
    pub fn on_hard(&self) -> OnHard {
        self.on_hard.unwrap_or_default()
    }

    /// How long an unsettled hold stays.
    pub fn in_doubt_ms(&self) -> Millis {
        self.in_doubt_ms.unwrap_or(IN_DOUBT_MS)
    }

    /// How long running code may take to stop.
    pub fn stop_grace_ms(&self) -> Millis {
        self.stop_grace_ms.unwrap_or(STOP_GRACE_MS)
    }

    /// Whether it refuses and stops anything.
    pub fn acts(&self) -> bool {
        self.shadow != Some(true)
    }
}

impl Soft {
    /// The amount, where the hard limit is `hard`; none for a part of no limit.
    pub fn amount(self, hard: Option<u64>) -> Option<u64> {
        match self {
            Self::Amount(amount) => Some(amount),
            // Up, so that 80 % of 3 is 3: told when it is reached, not before.
            Self::Percent(percent) => {
                let part = (u128::from(hard?) * u128::from(percent)).div_ceil(100);
                Some(u64::try_from(part).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The levels of a path, from its first segment to itself: `a`, `a/b`, `a/b/c`.
pub fn levels(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let ends: Vec<usize> = ends.collect();
    ends.into_iter().filter_map(|end| path.get(..end))
}

/// The first segment: which tree a path belongs to.
pub fn tree(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Whether `path` is `level` or lies below it.
pub fn is_under(path: &str, level: &str) -> bool {
    path.strip_prefix(level).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_levels() {
        assert_eq!(levels("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
        assert_eq!(levels("a").collect::<Vec<_>>(), ["a"]);
        assert_eq!((tree("a/b"), tree("a")), ("a", "a"));
        assert!(is_under("a/b", "a") && is_under("a", "a") && !is_under("ab", "a") && !is_under("a", "a/b"));
    }

    #[test]
    fn a_part_of_a_limit_is_told_when_it_is_reached() {
        assert_eq!(Soft::Percent(80).amount(Some(1_000)), Some(800));
        assert_eq!(Soft::Percent(80).amount(Some(3)), Some(3));
        assert_eq!(Soft::Percent(80).amount(None), None);
        assert_eq!(Soft::Percent(100).amount(Some(u64::MAX)), Some(u64::MAX));
    }
}
