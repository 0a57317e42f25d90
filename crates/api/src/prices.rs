//! Prices: what usage costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::check_amount;
use crate::object::{objects_only, unique_keys};
use crate::{MODEL_BYTES, PRICED_MODELS, Problem, check};

/// `PUT prices`: replaces a namespace's price table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PricesRequest {
    /// As `GET prices` shows it; not looked at, each change has a version of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What becomes of usage that it has no price for.
    #[serde(default)]
    pub unpriced: Unpriced,
    /// Prices by name of the model; a name that ends in `*` stands for all that begin with the rest.
    #[serde(deserialize_with = "unique_keys")]
    pub models: BTreeMap<String, Price>,
    /// Whose prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What one model costs, in `usd_micros`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Price {
    /// For 1,000,000 tokens read.
    pub input: u64,
    /// For 1,000,000 tokens read out of the provider's cache, if they cost something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
    /// For 1,000,000 tokens written into the provider's cache, if they cost something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// For 1,000,000 tokens written.
    pub output: u64,
    /// For each call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub call: u64,
}

/// What becomes of usage without a price. It never counts as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// The charge is refused: `price_unknown`.
    #[default]
    Refuse,
    /// It is kept aside, visibly, until it is said again with a price.
    Quarantine,
}

/// A namespace's price table. A change is answered when all partitions know it, or with 202 and those that don't yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PricesReply {
    /// Grows with every change; a charge records which one priced it. 0 is none was ever set.
    pub version: u64,
    /// What becomes of usage that it has no price for.
    pub unpriced: Unpriced,
    /// Prices by name of the model.
    #[serde(default)]
    pub models: BTreeMap<String, Price>,
    /// The partitions that have not confirmed the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_partitions: Vec<u32>,
}

objects_only!(PricesRequest, Price);

impl PricesRequest {
    /// Checks names, amounts and sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        check::count("models", self.models.len(), PRICED_MODELS)?;
        for (model, price) in &self.models {
            check::text("models", model, MODEL_BYTES)?;
            if model.strip_suffix('*').unwrap_or(model).contains('*') {
                let detail = "`*` stands only at the end of a name, for all that begin with the rest";
                return Err(Problem::invalid("models", detail));
            }
            price.validate().map_err(|problem| problem.within(format_args!("models.{model}")))?;
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl Price {
    fn validate(&self) -> Result<(), Problem> {
        let amounts = [
            ("input", Some(self.input)),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("output", Some(self.output)),
            ("call", Some(self.call)),
        ];
        for (field, amount) in amounts {
            amount.map_or(Ok(()), check_amount).map_err(|problem| problem.at(field))?;
        }
        Ok(())
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
