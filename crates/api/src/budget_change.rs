//! What is done to a budget: raised, topped up, charged, refunded, held against, recounted.

use serde::{Deserialize, Serialize};

use crate::charge::check_spent;
use crate::object::objects_only;
use crate::{Amounts, CHARGE_ID_BYTES, Instant, Problem, REASON_BYTES, Usage, check};

/// `POST budgets/{path}:raise`: other hard limits of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RaiseRequest {
    /// The window.
    pub window: String,
    /// Hard limits by dimension; those that are not named stay. A lower one stops nobody, unless more is used already.
    pub limits: Amounts,
    /// Only if the budget's `generation` is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST budgets/{path}:topup`: more for once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TopUpRequest {
    /// Said again under the same id it changes nothing.
    pub id: String,
    /// The window.
    pub window: String,
    /// How much more.
    pub amounts: Amounts,
    /// When what is left of it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST budgets/{path}:charge` and `POST holds/{id}/charge`: what was spent. It is always recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BudgetChargeRequest {
    /// Its id within the tree; the provider's response id is a good one. Said again it is booked once.
    pub charge_id: String,
    /// How much. Excludes `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<Amounts>,
    /// Usage of a model, to be priced. Excludes `amounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST budgets/{path}:refund`: gives back what a charge took, in that charge's period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RefundRequest {
    /// The refund's own id. Said again it is booked once.
    pub id: String,
    /// Which charge.
    pub charge_id: String,
    /// How much of it.
    pub amounts: Amounts,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST budgets/{path}:adjust`: sets right what a budget has used, in the present period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct AdjustRequest {
    /// Its id, among those of charges. Said again it is booked once.
    pub id: String,
    /// Added to what is used.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub amounts: Amounts,
    /// Taken from what is used.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub less: Amounts,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST budgets/{path}:reconcile`: counts again what the ledger and the holds say, and corrects what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReconcileRequest {
    /// Only tells what differs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReconcileReply {
    /// How many budgets were counted.
    pub counted: u64,
    /// Each with what it was and what it should be; corrected, unless it was a dry run.
    pub drifts: Vec<BudgetDrift>,
    /// How many holds and places in queues of executions were asked after.
    #[serde(default)]
    pub asked_after: u64,
    /// Those of them that their executions do not want any more.
    #[serde(default)]
    pub strays: Vec<BudgetStray>,
    /// Budgets whose counters were missing or not theirs; made anew, unless it was a dry run.
    #[serde(default)]
    pub remade: Vec<String>,
    /// Nothing was corrected.
    #[serde(default)]
    pub dry_run: bool,
}

/// A hold, or a place in a queue, that is kept for an execution which does not want it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetStray {
    /// The budget.
    pub path: String,
    /// For whom it is kept.
    pub execution: String,
    /// What is held; nothing of a place in a queue.
    #[serde(default)]
    pub held: Amounts,
    /// It is gone now.
    #[serde(default)]
    pub dropped: bool,
}

/// Something that differed from what the ledger and the holds say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetDrift {
    /// The budget.
    pub path: String,
    /// The window.
    pub window: String,
    /// When the period began; of what is left of a top-up, the present one.
    pub period: Instant,
    /// What differed.
    #[serde(default)]
    pub of: DriftOf,
    /// The id of the top-up, if it is what is left of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_up: Option<String>,
    /// What the counter said.
    #[serde(default)]
    pub counted: Amounts,
    /// What the ledger says.
    #[serde(default)]
    pub ledger: Amounts,
}

/// What may differ from the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DriftOf {
    /// What a period has used.
    #[default]
    Used,
    /// What was taken off beyond that by an adjustment.
    Owed,
    /// What of it top-ups have paid.
    Topped,
    /// What is left of a top-up.
    Left,
}

impl DriftOf {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Owed => "owed",
            Self::Topped => "topped",
            Self::Left => "left",
        }
    }
}

objects_only!(
    RaiseRequest,
    TopUpRequest,
    BudgetChargeRequest,
    RefundRequest,
    AdjustRequest,
    ReconcileRequest
);

impl RaiseRequest {
    /// Checks names and amounts.
    pub fn validate(&self) -> Result<(), Problem> {
        check::name("window", &self.window)?;
        self.limits.validate_some("limits")?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl TopUpRequest {
    /// Checks names and amounts.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("id", &self.id, CHARGE_ID_BYTES)?;
        check::name("window", &self.window)?;
        self.amounts.validate_some("amounts")?;
        if self.amounts.0.values().all(|amount| *amount == 0) {
            return Err(Problem::invalid("amounts", "it is more by nothing"));
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl BudgetChargeRequest {
    /// Checks the id and what was spent.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("charge_id", &self.charge_id, CHARGE_ID_BYTES)?;
        check_spent(self.amounts.as_ref(), self.usage.as_ref())?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl RefundRequest {
    /// Checks the ids and the amounts.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("id", &self.id, CHARGE_ID_BYTES)?;
        check::text("charge_id", &self.charge_id, CHARGE_ID_BYTES)?;
        if self.id == self.charge_id {
            return Err(Problem::invalid("id", "a refund needs an id of its own, other than the charge's"));
        }
        self.amounts.validate_some("amounts")?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl AdjustRequest {
    /// Checks the id, the amounts and the reason.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("id", &self.id, CHARGE_ID_BYTES)?;
        self.amounts.validate("amounts")?;
        self.less.validate("less")?;
        if self.amounts.0.values().chain(self.less.0.values()).all(|amount| *amount == 0) {
            return Err(Problem::invalid("amounts", "expected `amounts` or `less` above 0"));
        }
        self.reason.as_ref().map_or(Ok(()), |reason| check::text("reason", reason, REASON_BYTES))?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl ReconcileRequest {
    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}
