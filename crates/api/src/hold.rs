//! Holds: money set aside for a lease, or without one.

use serde::{Deserialize, Serialize};

use crate::budget_path::check_path;
use crate::charge::check_spent;
use crate::object::objects_only;
use crate::{Amounts, CHARGE_ID_BYTES, DURATION_MS, Instant, Problem, SETTLE_CHARGES, Usage, check};

/// What keeps something from being held: the first limit in the way, from the root down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shortfall {
    /// The budget, which may be a level above the one that was named.
    pub path: String,
    /// Its window.
    pub window: String,
    /// The dimension.
    pub dimension: String,
    /// The hard limit, top-ups included.
    pub limit: u64,
    /// Used in the present period.
    pub used: u64,
    /// Held.
    pub held: u64,
    /// What would have to become free.
    pub missing: u64,
    /// When the present period ends; a total has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Instant>,
}

/// `POST budgets/{path}:hold`: sets money aside without a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct HoldRequest {
    /// Said again under the same id it is the same hold.
    pub id: String,
    /// How much.
    pub amounts: Amounts,
    /// When it goes into doubt unless it ends before, from now.
    pub ttl_ms: u64,
    /// Whose budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldReply {
    /// Its id, for `holds/{id}/...`.
    pub hold: String,
    /// What is left of it.
    #[serde(default)]
    pub held: Amounts,
    /// When it goes into doubt, or ends if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// It expired without a word: what is left stays held for `in_doubt_ms`.
    #[serde(default)]
    pub in_doubt: bool,
    /// It is over: settled, released, or its time in doubt has passed. No other is made under its id.
    #[serde(default)]
    pub ended: bool,
}

/// `POST holds/{id}/extend`: asks for more before more is spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExtendRequest {
    /// Asked again under the same id it is answered the same.
    pub id: String,
    /// How much more.
    pub amounts: Amounts,
    /// Not so much more: only what the hold lacks of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

/// `POST leases/{lease}/hold`: asks for more before more is spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LeaseHoldRequest {
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
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The answer to an extend. It comes at once: nothing waits in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtendReply {
    /// Whether it is held now.
    pub granted: bool,
    /// A cap of the execution is in the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub capped: bool,
    /// The limit that is in the way: path, window, dimension, limit, used, held, missing, resets_at.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Shortfall>,
}

/// `POST holds/{id}/settle`: ends a hold with what was spent under it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SettleRequest {
    /// What was spent and not charged before.
    #[serde(default)]
    pub charges: Vec<SettleCharge>,
}

/// One charge of a settle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SettleCharge {
    /// Its id within the tree.
    pub charge_id: String,
    /// How much. Excludes `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<Amounts>,
    /// Usage of a model, to be priced. Excludes `amounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The hold is over, and its charges are booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettleReply {
    /// It is over: always true.
    pub settled: bool,
    /// Whether a budget is above a hard limit now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_limit: bool,
    /// The ids of charges that were recorded before, and so not again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<String>,
    /// The ids of charges that are kept aside: what they used has no price, or their budget is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
}

/// `POST holds/{id}/release`: ends a hold; what is left of it is free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReleaseHoldRequest {}

/// The hold is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseHoldReply {
    /// It is over: always true.
    pub released: bool,
}

objects_only!(HoldRequest, ExtendRequest, LeaseHoldRequest, SettleRequest, SettleCharge, ReleaseHoldRequest);

impl HoldRequest {
    /// Checks the id, the amounts and the time.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("id", &self.id, CHARGE_ID_BYTES)?;
        self.amounts.validate_some("amounts")?;
        check::range("ttl_ms", self.ttl_ms, 1, DURATION_MS)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl ExtendRequest {
    /// Checks the id and the amounts.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("id", &self.id, CHARGE_ID_BYTES)?;
        self.amounts.validate_some("amounts")
    }
}

impl LeaseHoldRequest {
    /// Checks the id, the path and the amounts.
    pub fn validate(&self) -> Result<(), Problem> {
        check_more(&self.id, self.path.as_deref(), &self.amounts)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl SettleRequest {
    /// Checks each charge.
    pub fn validate(&self) -> Result<(), Problem> {
        check::count("charges", self.charges.len(), SETTLE_CHARGES)?;
        check::each("charges", &self.charges, |_, charge| {
            check::text("charge_id", &charge.charge_id, CHARGE_ID_BYTES)?;
            check_spent(charge.amounts.as_ref(), charge.usage.as_ref())
        })
    }
}

/// What every extend under a lease is held to.
pub(crate) fn check_more(id: &str, path: Option<&str>, amounts: &Amounts) -> Result<(), Problem> {
    check::text("id", id, CHARGE_ID_BYTES)?;
    path.map_or(Ok(()), |path| check_path("path", path))?;
    amounts.validate_some("amounts")
}
