//! What an exchange says of money: charges, and asks for more.

use serde::{Deserialize, Serialize};

use crate::charge::check_charge;
use crate::hold::check_more;
use crate::object::objects_only;
use crate::{Amounts, Problem, Usage};

/// What was spent under a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeCharge {
    /// The lease; one that is lost is good enough.
    pub lease: String,
    /// The charge's id. Said again it is booked once.
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
}

/// Asks for more before more is spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeHold {
    /// The lease.
    pub lease: String,
    /// Asked again under the same id it is answered the same.
    pub id: String,
    /// Which of the execution's budgets; it may be left out if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How much more.
    pub amounts: Amounts,
    /// Not so much more: only what the hold lacks of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

objects_only!(ExchangeCharge, ExchangeHold);

impl ExchangeCharge {
    pub(crate) fn validate(&self) -> Result<(), Problem> {
        check_charge(&self.charge_id, self.amounts.as_ref(), self.usage.as_ref(), self.step.as_deref())
    }
}

impl ExchangeHold {
    pub(crate) fn validate(&self) -> Result<(), Problem> {
        check_more(&self.id, self.path.as_deref(), &self.amounts)
    }
}
