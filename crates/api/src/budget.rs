//! Budgets: what they are set to, and how they stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{check_amount, check_dimension};
use crate::object::{objects_only, unique_keys};
use crate::{
    Amounts, BUDGET_WINDOWS, Code, DIMENSIONS, Instant, NAME_CHARS, Problem, ROLLING_MS_MAX, ROLLING_MS_MIN,
    SOFT_LIMITS, SoftLimit, check,
};

/// `PUT budgets/{path}`: makes a budget, or replaces what it is set to. What it has used stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BudgetSettings {
    /// One or more; each holds for itself.
    pub windows: Vec<WindowSettings>,
    /// What is done to running work when it is breached: `suspend` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_hard: Option<OnHard>,
    /// Held for an attempt that names no amount, until enough of its kind have settled to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_hold: Option<Amounts>,
    /// By how much callers may go above a limit between two reports: declared, and shown beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overshoot: Option<Amounts>,
    /// How long money stays held for an attempt that ended without its worker's word: 60,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_doubt_ms: Option<u64>,
    /// How long running work may take to stop: 30,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
    /// It only watches: nothing is refused or stopped for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
    /// What a period leaves unspent is added to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry_over: Option<bool>,
    /// Only if the budget's `generation` is this: 0 for one that is to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A stretch of time with limits of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct WindowSettings {
    /// Its name within the budget.
    pub name: String,
    /// Which time.
    pub kind: WindowKind,
    /// The length of a rolling window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// IANA name of the zone whose calendar it is: `UTC` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    /// By dimension; what is not named is not limited.
    #[serde(default, deserialize_with = "unique_keys")]
    pub limits: BTreeMap<String, BudgetLimit>,
}

/// What a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Everything, for ever.
    Total,
    /// The last `every_ms`, in 60 buckets of which the oldest counts in full.
    Rolling,
    /// A calendar day.
    Day,
    /// A calendar week, from Monday.
    Week,
    /// A calendar month.
    Month,
}

/// The limits of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BudgetLimit {
    /// What is used and held stays at or below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
    /// Each is told once per period when what is used reaches it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soft: Vec<SoftLimit>,
}

/// What is done to work that runs under a breached budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnHard {
    /// It goes on; only nothing new starts.
    Block,
    /// It is asked to stop, parks, and goes on from its journal when there is money again.
    Suspend,
    /// It is cancelled.
    Cancel,
    /// It fails, and is not tried again.
    Fail,
    /// Not available yet: refused as such.
    Ask,
}

/// A budget as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Budget {
    /// Its path.
    pub path: String,
    /// Whose it is.
    pub namespace: String,
    /// Its windows, as they were given.
    pub windows: Vec<BudgetWindow>,
    /// What is done to running work when it is breached.
    pub on_hard: OnHard,
    /// Held for an attempt that names no amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_hold: Option<Amounts>,
    /// By how much callers may go above a limit between two reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overshoot: Option<Amounts>,
    /// How long money stays held for an attempt that ended without its worker's word.
    pub in_doubt_ms: u64,
    /// How long running work may take to stop.
    pub stop_grace_ms: u64,
    /// It only watches.
    pub shadow: bool,
    /// What a period leaves unspent is added to the next.
    pub carry_over: bool,
    /// Held at it and below.
    #[serde(default)]
    pub held: Amounts,
    /// How many holds that is.
    pub holds: u64,
    /// How many executions wait for it in its queue: of many that name the same budgets, the first of each partition.
    pub waiting: u64,
    /// The most telling of the three below.
    pub state: BudgetState,
    /// It has not enough for somebody who waits at it or below: nothing new starts before.
    pub exhausted: bool,
    /// What is used and held is above a hard limit: nothing new is held.
    pub overcommitted: bool,
    /// What is used is above a hard limit: running work is stopped as `on_hard` says.
    pub breached: bool,
    /// How often it was breached.
    #[serde(default)]
    pub breaches: u64,
    /// Grows with every change of its settings.
    pub generation: u64,
}

/// A window of a budget as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetWindow {
    /// Its name.
    pub name: String,
    /// Which time.
    pub kind: WindowKind,
    /// The length of a rolling window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// The zone whose calendar it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    /// By dimension.
    #[serde(default)]
    pub limits: BTreeMap<String, BudgetLimit>,
    /// Used in the present period.
    #[serde(default)]
    pub used: Amounts,
    /// Held at the budget and below: it counts in every window.
    #[serde(default)]
    pub held: Amounts,
    /// The present period.
    pub period: Period,
    /// Of what is used, what top-ups paid for: it does not count against the hard limit.
    #[serde(default)]
    pub topped: Amounts,
    /// What may still be held of each dimension with a hard limit, as far as this budget goes; those above it may have less.
    #[serde(default)]
    pub free: Amounts,
    /// Top-ups that are valid and not used up.
    #[serde(default)]
    pub top_ups: Vec<TopUp>,
}

/// The period that what is spent now belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Period {
    /// When it began; of a rolling window, its oldest bucket that counts.
    pub start: Instant,
    /// When it ends; a total has no end. Of a rolling window, when the oldest bucket that counts stops counting, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Instant>,
}

/// A limit raised for once; it is used up before the limit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopUp {
    /// Its id.
    pub id: String,
    /// How much it was.
    pub amounts: Amounts,
    /// What is left of it.
    #[serde(default)]
    pub left: Amounts,
    /// When what is left goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
}

/// How a budget stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetState {
    /// Nobody waits because of it; a budget above it may be short.
    Open,
    /// Somebody waits because of it.
    Exhausted,
    /// What is used and held is above a hard limit.
    Overcommitted,
    /// What is used is above a hard limit.
    Breached,
}

/// `GET budgets` and `:tree`: by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetsReply {
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The answer to a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeleteBudgetReply {
    /// It is gone: always true.
    pub deleted: bool,
}

objects_only!(BudgetSettings, WindowSettings, BudgetLimit);

impl BudgetSettings {
    /// Checks names, ranges and sizes. Zones are the engine's to know.
    pub fn validate(&self) -> Result<(), Problem> {
        if self.windows.is_empty() {
            return Err(Problem::invalid("windows", "expected at least one window"));
        }
        check::count("windows", self.windows.len(), BUDGET_WINDOWS)?;
        check::each("windows", &self.windows, |_, window| window.validate())?;
        for (index, window) in self.windows.iter().enumerate() {
            if self.windows.iter().take(index).any(|other| other.name == window.name) {
                let detail = format!("another window is called `{}` already", window.name);
                return Err(Problem::invalid(format!("windows[{index}].name"), detail));
            }
        }
        if self.on_hard == Some(OnHard::Ask) {
            let detail = "`ask` needs approvals, which this version does not have";
            return Err(Problem::new(Code::NotAvailable, detail)
                .at("on_hard")
                .remedy("Use suspend, and raise the budget by hand."));
        }
        for (field, amounts) in [("default_hold", &self.default_hold), ("overshoot", &self.overshoot)] {
            amounts.as_ref().map_or(Ok(()), |amounts| amounts.validate(field))?;
        }
        check::duration("in_doubt_ms", self.in_doubt_ms, 0)?;
        check::duration("stop_grace_ms", self.stop_grace_ms, 0)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl WindowSettings {
    fn validate(&self) -> Result<(), Problem> {
        check::name("name", &self.name)?;
        match (self.kind, self.every_ms) {
            (WindowKind::Rolling, None) => {
                return Err(Problem::invalid("every_ms", "a rolling window needs its length in `every_ms`"));
            }
            (WindowKind::Rolling, Some(ms)) => check::range("every_ms", ms, ROLLING_MS_MIN, ROLLING_MS_MAX)?,
            (_, Some(_)) => {
                return Err(Problem::invalid("every_ms", "only a rolling window has a length of its own"));
            }
            (_, None) => {}
        }
        let is_calendar = matches!(self.kind, WindowKind::Day | WindowKind::Week | WindowKind::Month);
        if let Some(zone) = &self.tz {
            if !is_calendar {
                return Err(Problem::invalid("tz", "only a day, week or month has a time zone"));
            }
            // Not a name: there are zones such as `Etc/GMT+5`. Whether this is one, core knows.
            check::text("tz", zone, NAME_CHARS)?;
        }
        check::count("limits", self.limits.len(), DIMENSIONS)?;
        for (dimension, limit) in &self.limits {
            check_dimension("limits", dimension)?;
            limit.validate().map_err(|problem| problem.within(format_args!("limits.{dimension}")))?;
        }
        Ok(())
    }
}

impl BudgetLimit {
    fn validate(&self) -> Result<(), Problem> {
        if let Some(hard) = self.hard {
            check_amount(hard).map_err(|problem| problem.at("hard"))?;
        }
        check::count("soft", self.soft.len(), SOFT_LIMITS)?;
        check::each("soft", &self.soft, |_, soft| match soft {
            SoftLimit::Amount(amount) => check_amount(*amount),
            SoftLimit::Percent(_) if self.hard.is_none() => {
                Err(Problem::invalid("", "a part of the hard limit needs a hard limit"))
            }
            SoftLimit::Percent(_) => Ok(()),
        })
    }
}
