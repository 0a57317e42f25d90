//! What a budget has used, by window and period: a cache of the ledger.

use minicbor::{Decode, Encode};

use super::amounts::{AmountOverflow, Amounts};
use super::budget::Window;
use super::charge::{Entry, EntryKind};
use super::window::WindowKind;
use crate::Millis;

/// What a budget has used.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Counters {
    /// One per window of the budget.
    #[n(0)]
    pub windows: Vec<WindowCounter>,
    /// Breaches so far.
    #[n(1)]
    pub breaches: u64,
    /// It is breached, and who runs under it has been told.
    #[n(2)]
    pub breached: Option<bool>,
    /// Up to which entry the sums are known to be those of the ledger, and what they were there.
    #[n(3)]
    pub verified: Option<Verified>,
    /// Somebody waits for what it lacks.
    #[n(4)]
    pub exhausted: Option<bool>,
    /// What is used and held exceeds a hard limit.
    #[n(5)]
    pub overcommitted: Option<bool>,
}

/// In which state a budget is: the worst of those that it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BudgetState {
    /// Nobody waits.
    Open,
    /// Somebody waits for what it lacks.
    Exhausted,
    /// What is used and held exceeds a hard limit.
    Overcommitted,
    /// What is used exceeds a hard limit.
    Breached,
}

/// Sums that a recount of the ledger has confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Verified {
    /// The ledger's last entry then.
    #[n(0)]
    pub seq: u64,
    /// When.
    #[n(1)]
    pub at: Millis,
    /// The windows as they were, but for soft limits told.
    #[n(2)]
    pub windows: Vec<WindowCounter>,
    /// When all was last counted from the beginning.
    #[n(3)]
    pub full_at: Millis,
}

/// One window's counter.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct WindowCounter {
    /// The window's name.
    #[n(0)]
    pub name: String,
    /// Only entries behind this one count: it is when the window began, or began anew.
    #[n(1)]
    pub since: u64,
    /// Periods that count, oldest first: one, or up to 61 of a rolling window.
    #[n(2)]
    pub periods: Vec<Counted>,
    /// Raised for once, by expiry.
    #[n(4)]
    pub top_ups: Option<Vec<TopUp>>,
    /// Soft limits told in the present period: dimension and amount.
    #[n(5)]
    pub told: Option<Vec<(String, u64)>>,
    /// When that period began.
    #[n(6)]
    pub told_in: Millis,
}

/// What a period has used. Its key is its start, made once; it is never set to zero.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Counted {
    /// When it began.
    #[n(0)]
    pub start: Millis,
    /// When the next one begins.
    #[n(1)]
    pub next: Millis,
    /// Until when it counts.
    #[n(2)]
    pub end: Millis,
    /// What was charged in it.
    #[n(3)]
    pub used: Amounts,
    /// Of that, what top-ups paid for.
    #[n(4)]
    pub topped: Amounts,
    /// What was taken off beyond what it had used: what is charged next makes up for it. In no dimension are both.
    #[n(5)]
    pub owed: Option<Amounts>,
}

/// A limit raised for once.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct TopUp {
    /// Its id.
    #[n(0)]
    pub id: String,
    /// What it was.
    #[n(1)]
    pub amounts: Amounts,
    /// What is left of it.
    #[n(2)]
    pub left: Amounts,
    /// When what is left goes.
    #[n(3)]
    pub expires_at: Option<Millis>,
}

/// Top-ups of one window that are kept.
pub const TOP_UPS_MAX: usize = 100;

/// Used-up top-ups of one window that are kept: a refund may give something of them back.
const USED_UP_MAX: usize = 8;

impl BudgetState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Exhausted => "exhausted",
            Self::Overcommitted => "overcommitted",
            Self::Breached => "breached",
        }
    }
}

impl Counters {
    /// Those of a budget that has used nothing; entries up to `seq` do not count.
    pub fn new(windows: &[Window], seq: u64) -> Self {
        let windows = windows.iter().map(|window| WindowCounter::new(&window.name, seq)).collect();
        Self { windows, ..Self::default() }
    }

    /// The budget's state, as its events told it.
    pub fn state(&self) -> BudgetState {
        match (self.breached, self.overcommitted, self.exhausted) {
            (Some(true), _, _) => BudgetState::Breached,
            (_, Some(true), _) => BudgetState::Overcommitted,
            (_, _, Some(true)) => BudgetState::Exhausted,
            _ => BudgetState::Open,
        }
    }

    /// One window's.
    pub fn window(&self, name: &str) -> Option<&WindowCounter> {
        self.windows.iter().find(|window| window.name == name)
    }
}

impl WindowCounter {
    /// One that has counted nothing.
    pub fn new(name: &str, since: u64) -> Self {
        let name = name.to_owned();
        Self { name, since, periods: Vec::new(), top_ups: None, told: None, told_in: 0 }
    }

    /// What is used of a dimension, as of now.
    pub fn used(&self, dimension: &str, now: Millis) -> u64 {
        self.sum(dimension, now, |period| period.used.get(dimension))
    }

    /// What of it counts against the hard limit: all but what top-ups paid for.
    pub fn counted(&self, dimension: &str, now: Millis) -> u64 {
        let counted =
            |period: &Counted| period.used.get(dimension).saturating_sub(period.topped.get(dimension));
        self.sum(dimension, now, counted)
    }

    fn sum(&self, dimension: &str, now: Millis, of: impl Fn(&Counted) -> u64) -> u64 {
        let counting = self.periods.iter().filter(|period| period.end > now);
        let (sum, owed) = counting.fold((0_u64, 0_u64), |(sum, owed), period| {
            (sum.saturating_add(of(period)), owed.saturating_add(period.owed(dimension)))
        });
        sum.saturating_sub(owed)
    }

    /// All that is used, as of now.
    pub fn all_used(&self, now: Millis) -> Amounts {
        let mut dimensions: Vec<&str> =
            self.periods.iter().flat_map(|p| p.used.iter().map(|(d, _)| d)).collect();
        dimensions.sort_unstable();
        dimensions.dedup();
        Amounts::of(dimensions.into_iter().map(|dimension| (dimension, self.used(dimension, now))))
    }

    /// Its top-ups that are kept, the earliest to expire first.
    pub fn all_top_ups(&self) -> impl Iterator<Item = &TopUp> {
        self.top_ups.iter().flatten()
    }

    /// What is left of top-ups, as of now.
    pub fn top_ups_left(&self, dimension: &str, now: Millis) -> u64 {
        let valid = self.top_ups.iter().flatten().filter(|top_up| !top_up.is_over(now));
        valid.fold(0, |sum, top_up| sum.saturating_add(top_up.left.get(dimension)))
    }

    /// Forgets what no longer counts.
    pub fn tidy(&mut self, now: Millis) {
        self.periods.retain(|period| period.end > now);
        if let Some(top_ups) = &mut self.top_ups {
            top_ups.retain(|top_up| !top_up.is_over(now));
        }
    }

    /// What has not ended of it, to be compared with what another says.
    pub fn counting(&self, now: Millis) -> Self {
        let mut counting = Self { told: None, told_in: 0, ..self.clone() };
        counting.tidy(now);
        counting.top_ups = counting.top_ups.filter(|top_ups| !top_ups.is_empty());
        counting
    }

    /// Does again what was done when an entry of the ledger was made, at a level of its path: all that a counter is follows from
    /// the entries since it began, in order, but for what has ended.
    pub fn replay(&mut self, kind: &WindowKind, level: &str, seq: u64, entry: &Entry) {
        if !entry.counts_since(self.since, seq) {
            return;
        }
        // The counters were checked when it was booked: what is added fits.
        match entry.kind {
            EntryKind::Charge | EntryKind::Adjustment => {
                self.tidy(entry.at);
                _ = self.add(kind, &entry.amounts, entry.counts_at(), entry.at);
                if let Some(less) = &entry.less {
                    self.take_off(kind, less, entry.counts_at(), entry.at);
                }
            }
            EntryKind::Refund => self.refund(&entry.amounts, entry.counts_at(), entry.at),
            EntryKind::TopUp | EntryKind::CarryOver => {
                if entry.path == level && entry.window.as_ref() == Some(&self.name) {
                    let (amounts, id) = (entry.amounts.clone(), entry.charge_id.clone().unwrap_or_default());
                    let top_up = TopUp { id, left: amounts.clone(), amounts, expires_at: entry.expires_at };
                    self.top_up(top_up, &entry.paid.clone().unwrap_or_default(), entry.at);
                }
            }
            EntryKind::Repair | EntryKind::Quarantined => {}
        }
    }

    /// Adds to what is used in the period of `at`; top-ups pay first, the earliest to expire before others.
    pub fn add(
        &mut self,
        kind: &WindowKind,
        amounts: &Amounts,
        at: Millis,
        now: Millis,
    ) -> Result<(), AmountOverflow> {
        if self.all_top_ups().all(|top_up| top_up.left.is_zero()) {
            return self.change(kind, at, |period| period.add(amounts));
        }
        let mut top_ups = self.top_ups.clone();
        self.change(kind, at, |period| {
            let mut after = period.clone();
            after.add(amounts)?;
            // What only makes up for what was taken off costs nothing.
            let mut rest = after.used.less(&period.used);
            for top_up in top_ups.iter_mut().flatten().filter(|top_up| !top_up.is_over(now)) {
                let part = top_up.left.at_most(&rest);
                after.topped.add(&part)?;
                top_up.left.take(&part);
                rest.take(&part);
            }
            *period = after;
            Ok(())
        })?;
        self.top_ups = top_ups;
        Ok(())
    }

    /// Takes from what was used in the period of `at`, though it were more than that.
    pub fn take_off(&mut self, kind: &WindowKind, amounts: &Amounts, at: Millis, now: Millis) {
        self.change(kind, at, |_| ());
        self.refund(amounts, at, now);
    }

    fn change<T>(&mut self, kind: &WindowKind, at: Millis, change: impl FnOnce(&mut Counted) -> T) -> T {
        if let Some(period) = self.periods.iter_mut().find(|period| period.start <= at && at < period.next) {
            return change(period);
        }
        let mut period = Counted::at(kind, at);
        let done = change(&mut period);
        let place = self.periods.partition_point(|period| period.start <= at);
        self.periods.insert(place, period);
        done
    }

    /// Takes from what was used in the period of `at`, if it still counts. What top-ups paid of it they have again, unless they
    /// have expired.
    pub fn refund(&mut self, amounts: &Amounts, at: Millis, now: Millis) {
        let is_it = |period: &&mut Counted| period.start <= at && at < period.next && period.end > now;
        let Some(period) = self.periods.iter_mut().find(is_it) else { return };
        period.take(amounts);
        let mut back = period.topped.less(&period.used);
        period.topped.take(&back);
        let top_ups = self.top_ups.iter_mut().flatten().rev();
        for top_up in top_ups.filter(|top_up| !top_up.is_over(now)) {
            let part = top_up.amounts.less(&top_up.left).at_most(&back);
            // At most what it was.
            if top_up.left.add(&part).is_ok() {
                back.take(&part);
            }
        }
    }

    /// Raises the limit for once. What is used `beyond` it already is paid at once, what stops counting first before the rest.
    pub fn top_up(&mut self, top_up: TopUp, beyond: &Amounts, now: Millis) {
        let mut top_up = top_up;
        let mut unpaid = top_up.left.at_most(beyond);
        for period in self.periods.iter_mut().filter(|period| period.end > now) {
            let paid = period.used.less(&period.topped).at_most(&unpaid);
            // No more than what is used.
            if period.topped.add(&paid).is_ok() {
                top_up.left.take(&paid);
                unpaid.take(&paid);
            }
        }
        let top_ups = self.top_ups.get_or_insert_default();
        // Only here, so that what is kept follows from the ledger.
        top_ups.retain(|top_up| !top_up.is_over(now));
        let mut used_up = top_ups.iter().filter(|top_up| top_up.left.is_zero()).count();
        top_ups.retain(|top_up| {
            let is_kept = !top_up.left.is_zero() || used_up <= USED_UP_MAX;
            used_up -= usize::from(top_up.left.is_zero());
            is_kept
        });
        let expiry = |top_up: &TopUp| top_up.expires_at.unwrap_or(Millis::MAX);
        let place = top_ups.partition_point(|other| expiry(other) <= expiry(&top_up));
        top_ups.insert(place, top_up);
    }

    /// When something stops counting next, of what counts at `now`.
    pub fn next_end(&self, now: Millis) -> Option<Millis> {
        self.periods
            .iter()
            .map(|period| period.end)
            .filter(|end| (now.saturating_add(1)..Millis::MAX).contains(end))
            .min()
    }

    /// When a top-up goes of which something is left.
    pub fn next_expiry(&self) -> Option<Millis> {
        let left = self.top_ups.iter().flatten().filter(|top_up| !top_up.left.is_zero());
        left.filter_map(|top_up| top_up.expires_at).min()
    }
}

impl TopUp {
    fn is_over(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Counted {
    /// An empty one that `at` lies in.
    pub fn at(kind: &WindowKind, at: Millis) -> Self {
        let period = kind.period(at);
        let end = match kind {
            // The oldest bucket counts in full until nothing of it lies within the window.
            WindowKind::Rolling { every_ms } => period.end.saturating_add(*every_ms),
            _ => period.end,
        };
        Self { start: period.start, next: period.end, end, ..Self::default() }
    }

    /// Adds to what is used, after what was taken off beyond it.
    pub fn add(&mut self, amounts: &Amounts) -> Result<(), AmountOverflow> {
        let Some(owed) = &mut self.owed else { return self.used.add(amounts) };
        let part = owed.at_most(amounts);
        self.used.add(&amounts.less(&part))?;
        owed.take(&part);
        self.owed = self.owed.take().filter(|owed| !owed.is_zero());
        Ok(())
    }

    /// Takes from what is used; what it has not used is owed.
    pub fn take(&mut self, amounts: &Amounts) {
        let beyond = amounts.less(&self.used);
        self.used.take(amounts);
        if !beyond.is_zero() {
            // More than any amount is not owed.
            _ = self.owed.get_or_insert_default().add(&beyond);
        }
    }

    fn owed(&self, dimension: &str) -> u64 {
        self.owed.as_ref().map_or(0, |owed| owed.get(dimension))
    }

    /// The same period, in which nothing was charged or taken.
    pub fn emptied(&self) -> Self {
        Self { start: self.start, next: self.next, end: self.end, ..Self::default() }
    }

    /// Whether it says nothing of what was used.
    pub fn is_empty(&self) -> bool {
        self.used.is_zero() && self.owed.is_none()
    }
}
