//! What a provider says that a call used.

use serde::{Deserialize, Serialize};

use crate::amounts::check_amount;
use crate::object::objects_only;
use crate::{MODEL_BYTES, Problem, check};

/// Usage of a model, which the price table turns into amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Usage {
    /// The model, by the name that the price table has for it.
    pub model: String,
    /// Tokens read, cached ones included.
    #[serde(default)]
    pub input_tokens: u64,
    /// Those of them that came out of the provider's cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_input_tokens: u64,
    /// Others of them, that were written into it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Tokens written.
    #[serde(default)]
    pub output_tokens: u64,
    /// Calls it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
}

objects_only!(Usage);

impl Usage {
    /// Checks the name and the sizes, and that tokens out of and into the cache are some of those that were read.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("model", &self.model, MODEL_BYTES)?;
        let counts = [
            ("input_tokens", Some(self.input_tokens)),
            ("output_tokens", Some(self.output_tokens)),
            ("calls", self.calls),
        ];
        for (field, count) in counts {
            count.map_or(Ok(()), check_amount).map_err(|problem| problem.at(field))?;
        }
        let part = |field, tokens, most| {
            check::range(field, tokens, 0, most).map_err(|problem| {
                problem.remedy(
                    "Count tokens out of and into the cache in input_tokens too: they are part of them.",
                )
            })
        };
        part("cached_input_tokens", self.cached_input_tokens, self.input_tokens)?;
        part("cache_write_tokens", self.cache_write_tokens, self.input_tokens - self.cached_input_tokens)
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
