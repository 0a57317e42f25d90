//! Charges: what was spent, and how it was taken.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{Amounts, CHARGE_ID_BYTES, Problem, Shortfall, Usage, check};

/// `POST leases/{lease}/charge`: what was spent under a lease. It is always recorded, after the lease is lost too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ChargeRequest {
    /// Its id within the execution and within each budget's tree; the provider's response id is a good one. Said again
    /// it is booked once.
    pub charge_id: String,
    /// How much. Excludes `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<Amounts>,
    /// Usage of a model, to be priced. Excludes `amounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The journaled step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How a charge was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChargeReply {
    /// It is recorded: always true.
    pub recorded: bool,
    /// What was charged; of usage, what it costs.
    #[serde(default)]
    pub amounts: Amounts,
    /// The version of the price table that priced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<u64>,
    /// The lease or the hold was over.
    #[serde(default)]
    pub late: bool,
    /// Whether a budget is above a hard limit now, or the charge took what was not free. Absent if no budget has said so
    /// in time: it is booked all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<bool>,
    /// The limit that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Shortfall>,
    /// A cap of the execution that is exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_cap: Option<OverCap>,
    /// It is kept aside, visibly, and not summed: it has no price yet, there is no budget any more, or its id stands for another
    /// charge of the tree.
    #[serde(default)]
    pub quarantined: bool,
    /// It was recorded before, under the same id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// A cap of an execution that is exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverCap {
    /// The budget it was named with.
    pub path: String,
    /// The dimension.
    pub dimension: String,
}

objects_only!(ChargeRequest);

impl ChargeRequest {
    /// A charge of so much.
    pub fn new(charge_id: impl Into<String>, amounts: Amounts) -> Self {
        Self { charge_id: charge_id.into(), amounts: Some(amounts), ..Self::default() }
    }

    /// Checks the id, what was spent, and the step.
    pub fn validate(&self) -> Result<(), Problem> {
        check_charge(&self.charge_id, self.amounts.as_ref(), self.usage.as_ref(), self.step.as_deref())?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

/// What every charge under a lease is held to.
pub(crate) fn check_charge(
    id: &str,
    amounts: Option<&Amounts>,
    usage: Option<&Usage>,
    step: Option<&str>,
) -> Result<(), Problem> {
    check::text("charge_id", id, CHARGE_ID_BYTES)?;
    check_spent(amounts, usage)?;
    step.map_or(Ok(()), |step| check::step_key("step", step))
}

/// Amounts or usage, and not both.
pub(crate) fn check_spent(amounts: Option<&Amounts>, usage: Option<&Usage>) -> Result<(), Problem> {
    match (amounts, usage) {
        (Some(amounts), None) => amounts.validate("amounts"),
        (None, Some(usage)) => usage.validate().map_err(|problem| problem.within("usage")),
        (Some(_), Some(_)) => {
            Err(Problem::invalid("usage", "`amounts` and `usage` exclude each other")
                .remedy("Keep one of them."))
        }
        (None, None) => Err(Problem::invalid("amounts", "expected `amounts` or `usage`")
            .remedy("Say what was spent, in one of them.")),
    }
}
