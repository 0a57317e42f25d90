//! What was spent, as arguments and as an answer: of `stint budget charge` and `stint hold`.

use anyhow::Result;
use stint::api::ChargeReply;
use stint::{Amounts, Charge, Usage};

use super::amounts::{amount, shown};
use super::connection::Connection;
use crate::output;

/// Amounts, or usage that the price table turns into some.
#[derive(clap::Args)]
pub(crate) struct Spent {
    /// How much: usd=0.02, calls=3. May be repeated.
    #[arg(value_name = "DIMENSION=AMOUNT", value_parser = amount, required_unless_present = "model")]
    amounts: Vec<(String, u64)>,
    /// The charge's id, such as the provider's response id: said again under the same, it counts once.
    #[arg(long)]
    id: String,
    /// Instead of amounts: the model that was used, by its name in the price table.
    #[arg(long, conflicts_with = "amounts")]
    model: Option<String>,
    /// Tokens read, cached ones included.
    #[arg(long, value_name = "N", requires = "model", default_value_t = 0)]
    input_tokens: u64,
    /// Those of them that came out of the provider's cache.
    #[arg(long, value_name = "N", requires = "model", default_value_t = 0)]
    cached_input_tokens: u64,
    /// Others of them, that were written into it.
    #[arg(long, value_name = "N", requires = "model", default_value_t = 0)]
    cache_write_tokens: u64,
    /// Tokens written.
    #[arg(long, value_name = "N", requires = "model", default_value_t = 0)]
    output_tokens: u64,
    /// Calls it took; one unless given.
    #[arg(long, value_name = "N", requires = "model")]
    calls: Option<u64>,
}

impl Spent {
    /// The charge.
    pub(crate) fn charge(self) -> Charge {
        let charge = match self.model {
            None => Charge::from(Amounts::of(self.amounts)),
            Some(model) => Charge::from(Usage {
                model,
                input_tokens: self.input_tokens,
                cached_input_tokens: self.cached_input_tokens,
                cache_write_tokens: self.cache_write_tokens,
                output_tokens: self.output_tokens,
                calls: self.calls,
            }),
        };
        charge.id(self.id)
    }
}

/// Prints how a charge was taken.
pub(crate) fn tell(reply: &ChargeReply, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(reply);
    }
    let mut said = match reply.quarantined {
        true => "kept aside, not summed".to_owned(),
        false => format!("charged {}", shown(&reply.amounts)),
    };
    for (is_so, what) in [
        (reply.duplicate, "recorded before"),
        (reply.late, "late"),
        (reply.over_limit == Some(true), "above a hard limit"),
    ] {
        if is_so {
            said += ", ";
            said += what;
        }
    }
    output::line(said)
}
