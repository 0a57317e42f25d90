//! The ledger: every entry there is, and what they sum up to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Amounts, Instant};

/// `GET budgets/{path}:ledger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerReply {
    /// The entries of the budget and of all below it, oldest first unless asked otherwise.
    pub entries: Vec<LedgerEntry>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Entries from before this are past the ledger's retention and no longer kept; reports still count them. Absent if
    /// none are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<Instant>,
}

/// An entry. It never changes: corrections are new entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerEntry {
    /// Its place in the ledger of its tree.
    pub seq: u64,
    /// When it was recorded.
    pub at: Instant,
    /// What it is.
    pub kind: LedgerKind,
    /// Where; it counts at each level of the path.
    pub path: String,
    /// How much. Of a refund it is what was given back: what is used became less by it.
    #[serde(default)]
    pub amounts: Amounts,
    /// The charge's id, or what the entry has instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge_id: Option<String>,
    /// The execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// Its attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The execution's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_kind: Option<String>,
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Of a refund: the id of the charge that it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunds: Option<String>,
    /// Of an adjustment: why it was made. Of a repair: what was wrong if it was not what was used: `owed`, `topped`, `left` (of
    /// a top-up) or `held`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the price table that priced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<u64>,
    /// In whose period it counts, if not in that of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked_at: Option<Instant>,
    /// The window, of a top-up, carry-over or repair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// What an adjustment took off what is used, or a repair off a counter or a hold; `amounts` is what it added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub less: Option<Amounts>,
    /// Of a top-up or carry-over: when what is left of it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Of a top-up: what it paid at once, of what was used beyond the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Amounts>,
    /// The lease was over when it was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The execution's tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// An entry's part in one dimension, with its sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine<'a> {
    /// The dimension.
    pub dimension: &'a str,
    /// How much the entry says: negative where it takes or gives back.
    pub amount: i64,
    /// By how much it changes what is used: 0 of what is not summed, such as a top-up.
    pub used: i64,
}

impl LedgerEntry {
    /// Its amounts by dimension, with signs: `used` of all entries sums up to what was used.
    pub fn lines(&self) -> impl Iterator<Item = LedgerLine<'_>> {
        let given_back = self.kind == LedgerKind::Refund;
        let counts = matches!(self.kind, LedgerKind::Charge | LedgerKind::Refund | LedgerKind::Adjustment);
        let said = self.amounts.0.iter().map(move |(dimension, amount)| (dimension, *amount, given_back));
        let taken = self.less.iter().flat_map(|less| &less.0);
        let taken = taken.map(|(dimension, amount)| (dimension, *amount, true));
        said.chain(taken).map(move |(dimension, amount, is_less)| {
            // Amounts are at most 2^53 - 1.
            let amount = i64::try_from(amount).unwrap_or(i64::MAX);
            let amount = if is_less { -amount } else { amount };
            LedgerLine { dimension, amount, used: if counts { amount } else { 0 } }
        })
    }
}

/// What an entry of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerKind {
    /// Spent.
    Charge,
    /// Given back; counts in the charge's period.
    Refund,
    /// A correction.
    Adjustment,
    /// A limit raised for once.
    TopUp,
    /// What a period left for the next.
    CarryOver,
    /// A drift that was corrected; not summed.
    Repair,
    /// Usage without a price, or spent where no budget is; not summed.
    Quarantined,
}

impl LedgerKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Charge,
        Self::Refund,
        Self::Adjustment,
        Self::TopUp,
        Self::CarryOver,
        Self::Repair,
        Self::Quarantined,
    ];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Adjustment => "adjustment",
            Self::TopUp => "top_up",
            Self::CarryOver => "carry_over",
            Self::Repair => "repair",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Which entries of a ledger, and in what order: the query of `:ledger`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRequest {
    /// Only of these kinds; none named is all.
    pub kinds: Vec<LedgerKind>,
    /// Only of this execution.
    pub execution: Option<String>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only recorded then or later.
    pub since: Option<Instant>,
    /// Only recorded before.
    pub until: Option<Instant>,
    /// Newest first.
    pub newest_first: bool,
    /// So many at most.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// What a report is made of: the query of `:report`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportRequest {
    /// What rows are made by; none named is by path.
    pub by: Option<ReportBy>,
    /// Only recorded then or later.
    pub since: Option<Instant>,
    /// Only recorded before.
    pub until: Option<Instant>,
    /// A row for every hour or day besides.
    pub every: Option<ReportEvery>,
}

/// What rows of a report are made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportBy {
    /// The path that was charged.
    Path,
    /// The execution's kind.
    Kind,
    /// The execution.
    Execution,
    /// The model.
    Model,
    /// The value of a tag.
    Tag(String),
}

/// How long a row of a report lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReportEvery {
    /// An hour, in UTC.
    Hour,
    /// A day, in UTC.
    Day,
}

/// `GET budgets/{path}:report`: what was spent, by what, and how long the rest lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportReply {
    /// The budget.
    pub path: String,
    /// What the rows are made by.
    pub by: String,
    /// By time, then by key.
    pub rows: Vec<ReportRow>,
    /// The sum of all rows.
    #[serde(default)]
    pub total: Amounts,
    /// Where more was given back than spent, because it was spent before: by how much, for all rows.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub less: Amounts,
    /// There are more rows than are shown: the rest is summed up in `total` only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Spent within the last hour, per hour.
    #[serde(default)]
    pub burn_per_hour: Amounts,
    /// Spent within the last day, per hour.
    #[serde(default)]
    pub burn_per_hour_of_day: Amounts,
    /// Which hard limit, of it or of one above it, is reached first at the rate at which that one was spent in the last hour,
    /// or in the last day if nothing was in that. None if none is before its period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_out: Option<RunsOut>,
    /// What was spent before this, and is in the sums, is past the ledger's retention: of it only days are known, and no
    /// executions. It is counted where its day, in UTC, began. Absent if nothing is that old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detailed_since: Option<Instant>,
}

/// What was spent by one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportRow {
    /// When the hour or day began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
    /// The path, kind, execution, model or tag's value; empty for what has none.
    pub key: String,
    /// What was spent, refunds taken off.
    #[serde(default)]
    pub amounts: Amounts,
    /// By how much more was given back than spent, because it was spent before.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub less: Amounts,
    /// How many charges that is.
    pub charges: u64,
}

/// When the money runs out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunsOut {
    /// The budget: the one that was asked about, or one above it.
    pub path: String,
    /// The window.
    pub window: String,
    /// The dimension.
    pub dimension: String,
    /// What is left.
    pub left: u64,
    /// In how long, at that rate.
    pub in_ms: u64,
    /// When that is.
    pub at: Instant,
}

impl LedgerRequest {
    /// Which entries, as parameters of a query: kinds are joined by `,`. The page is the caller's to add.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        [
            ("kind", (!kinds.is_empty()).then(|| kinds.join(","))),
            ("execution", self.execution.clone()),
            ("model", self.model.clone()),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
            ("order", self.newest_first.then(|| "desc".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

impl ReportRequest {
    /// Itself as parameters of a query.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        [
            ("by", self.by.as_ref().map(ToString::to_string)),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
            ("every", self.every.map(|every| every.as_str().to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

impl fmt::Display for ReportBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::Kind => f.write_str("kind"),
            Self::Execution => f.write_str("execution"),
            Self::Model => f.write_str("model"),
            Self::Tag(key) => write!(f, "tag.{key}"),
        }
    }
}

impl ReportEvery {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}
