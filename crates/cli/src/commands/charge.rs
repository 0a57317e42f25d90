//! What was spent, as arguments and as an answer: of `stint budget charge` and `stint hold`.

use anyhow::Result;
use stint::api::ChargeReply;
use stint::{Charge, Usage};

use super::amounts::{amount, distinct, shown};
use super::connection::Connection;
use crate::exit::Failed;
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
    #[arg(long, value_name = "N", requires = "model")]
    input_tokens: Option<u64>,
    /// Those of them that came out of the provider's cache.
    #[arg(long, value_name = "N", requires = "model")]
    cached_input_tokens: Option<u64>,
    /// Others of them, that were written into it.
    #[arg(long, value_name = "N", requires = "model")]
    cache_write_tokens: Option<u64>,
    /// Tokens written.
    #[arg(long, value_name = "N", requires = "model")]
    output_tokens: Option<u64>,
    /// Calls it took; one unless given.
    #[arg(long, value_name = "N", requires = "model")]
    calls: Option<u64>,
}

impl Spent {
    /// The charge.
    pub(crate) fn charge(self) -> Result<Charge> {
        let tokens =
            [self.input_tokens, self.cached_input_tokens, self.cache_write_tokens, self.output_tokens];
        // Beside amounts the parser does not ask for the model that these need.
        if self.model.is_none() && (tokens.iter().any(Option::is_some) || self.calls.is_some()) {
            let what = "tokens and --calls are those of a --model; amounts are written as calls=3".to_owned();
            return Err(Failed::Usage(what).into());
        }
        let charge = match self.model {
            None => Charge::from(distinct(self.amounts)?),
            Some(model) => Charge::from(Usage {
                model,
                input_tokens: self.input_tokens.unwrap_or(0),
                cached_input_tokens: self.cached_input_tokens.unwrap_or(0),
                cache_write_tokens: self.cache_write_tokens.unwrap_or(0),
                output_tokens: self.output_tokens.unwrap_or(0),
                calls: self.calls,
            }),
        };
        Ok(charge.id(self.id))
    }
}

/// Prints how a charge was taken.
pub(crate) fn tell(reply: &ChargeReply, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(reply);
    }
    let mut said = match reply.quarantined {
        true => "kept aside, not summed".to_owned(),
        false if reply.amounts.0.values().all(|amount| *amount == 0) => "charged nothing".to_owned(),
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
