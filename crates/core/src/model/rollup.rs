//! Roll-ups: what the entries of an hour, or of a day long ago, come to. Reports add these up instead of entries.

use minicbor::{Decode, Encode};

use super::charge::{Entry, EntryKind};
use super::counters::{Counted, WindowCounter};
use super::wide::Wide;
use super::window::WindowKind;
use crate::Millis;
use crate::ids::ExecutionId;

/// An hour: roll-ups begin at full ones, in UTC.
pub const HOUR_MS: Millis = 3_600_000;

/// A day, in UTC: what is older than the ledger's retention is known by days.
pub const DAY_MS: Millis = 24 * HOUR_MS;

/// Entries of the ledger are kept this long, unless their namespace says otherwise.
pub const LEDGER_RETENTION_MS: Millis = 400 * DAY_MS;

/// What reports tell apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct SpendOf {
    /// Where.
    #[n(0)]
    pub path: String,
    /// The execution's kind.
    #[n(1)]
    pub kind: Option<String>,
    /// The execution; none in a day's.
    #[n(2)]
    pub execution: Option<ExecutionId>,
    /// The model.
    #[n(3)]
    pub model: Option<String>,
}

/// What entries of one hour or day, that reports do not tell apart, come to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct RollUp {
    /// What they are about.
    #[n(0)]
    pub of: SpendOf,
    /// Charges and adjustments.
    #[n(1)]
    pub spent: Wide,
    /// Refunds.
    #[n(2)]
    pub refunded: Wide,
    /// How many of them are charges.
    #[n(3)]
    pub charges: u64,
    /// The first of them in the ledger.
    #[n(4)]
    pub first: u64,
    /// The last.
    #[n(5)]
    pub last: u64,
}

/// What a level counts of entries that were trimmed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Carried {
    /// What was spent of all there ever was, for windows that lost their beginning.
    #[n(0)]
    pub all: Counted,
    /// Its windows, as the last trimmed entry left them.
    #[n(1)]
    pub windows: Vec<WindowCounter>,
}

/// How far a tree's ledger is rolled up, folded and trimmed. Always `trimmed <= rolled`, and of `folded` days all entries are
/// rolled up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct LedgerMark {
    /// Entries up to this one are in roll-ups.
    #[n(0)]
    pub rolled: u64,
    /// All entries before this hour are, and none of it is changed by rolling up any more.
    #[n(1)]
    pub until: Millis,
    /// The last entry before that hour.
    #[n(2)]
    pub until_seq: u64,
    /// Hours before this day are folded into days.
    #[n(3)]
    pub folded: Millis,
    /// Of that day, roll-ups up to this key are.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub cursor: Option<Vec<u8>>,
    /// Roll-ups of hours before this day are gone.
    #[n(5)]
    pub swept: Millis,
    /// Entries up to this one are gone.
    #[n(6)]
    pub trimmed: u64,
    /// Entries before this day are, with no exception.
    #[n(7)]
    pub cleared: Millis,
}

impl RollUp {
    /// One entry's; none of what is not spent.
    pub fn of(seq: u64, entry: &Entry) -> Option<Self> {
        let mut rolled = Self { first: seq, last: seq, ..Self::default() };
        match entry.kind {
            EntryKind::Charge => rolled.spent.add(&entry.amounts),
            EntryKind::Adjustment => {
                rolled.spent.add(&entry.amounts);
                if let Some(less) = &entry.less {
                    rolled.refunded.add(less);
                }
            }
            EntryKind::Refund => rolled.refunded.add(&entry.amounts),
            EntryKind::TopUp | EntryKind::CarryOver | EntryKind::Repair | EntryKind::Quarantined => {
                return None;
            }
        }
        rolled.charges = u64::from(entry.kind == EntryKind::Charge);
        rolled.of = SpendOf {
            path: entry.path.clone(),
            kind: entry.execution_kind.clone(),
            execution: entry.execution,
            model: entry.model.clone(),
        };
        Some(rolled)
    }

    /// Adds another's sums.
    pub fn add(&mut self, other: &Self) {
        self.spent.merge(&other.spent);
        self.refunded.merge(&other.refunded);
        self.charges = self.charges.saturating_add(other.charges);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

impl SpendOf {
    /// What tells it from others within an hour or day.
    pub(crate) fn hash(&self) -> [u8; 16] {
        xxhash_rust::xxh3::xxh3_128(&super::record::to_vec(self)).to_be_bytes()
    }
}

impl Carried {
    /// A window as the last trimmed entry left it.
    pub fn window(&self, name: &str, since: u64, kind: &WindowKind) -> WindowCounter {
        let mut named = self.windows.iter().filter(|window| window.name == name);
        if let Some(known) = named.clone().find(|window| window.since == since) {
            return known.clone();
        }
        let mut window = WindowCounter::new(name, since);
        if since == 0 {
            window.top_ups = named.next().and_then(|known| known.top_ups.clone());
            if *kind == WindowKind::Total && !self.all.is_empty() {
                let Counted { start, next, end, .. } = Counted::at(kind, 0);
                window.periods.push(Counted { start, next, end, ..self.all.clone() });
            }
        }
        window
    }

    /// Counts an entry for the windows there are at a level: name, kind and since when each counts.
    pub(crate) fn count(
        &mut self,
        windows: &[(String, WindowKind, u64)],
        level: &str,
        seq: u64,
        entry: &Entry,
    ) {
        for (name, kind, since) in windows {
            if !self.windows.iter().any(|window| window.name == *name && window.since == *since) {
                let window = self.window(name, *since, kind);
                self.windows.push(window);
            }
            let of_it = self.windows.iter_mut().filter(|known| known.name == *name && known.since == *since);
            of_it.for_each(|window| window.replay(kind, level, seq, entry));
        }
        match entry.kind {
            // The counters were checked when it was booked.
            EntryKind::Charge | EntryKind::Adjustment => {
                _ = self.all.add(&entry.amounts);
                if let Some(less) = &entry.less {
                    self.all.take(less);
                }
            }
            EntryKind::Refund => self.all.take(&entry.amounts),
            EntryKind::TopUp | EntryKind::CarryOver | EntryKind::Repair | EntryKind::Quarantined => {}
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

/// When the hour began.
pub fn hour(at: Millis) -> Millis {
    at - at.rem_euclid(HOUR_MS)
}

/// When the day began, in UTC.
pub fn day(at: Millis) -> Millis {
    at - at.rem_euclid(DAY_MS)
}
