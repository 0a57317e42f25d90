//! `stint why`.

use anyhow::Result;
use stint::api::WaitingForBudget;

use super::amounts::one;
use super::connection::Connection;
use crate::{clock, output};

/// What to explain.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let id = args.id;
    let why = args.connection.run(|client| {
        let id = &id;
        async move { Ok(client.why(id).await?) }
    })?;
    if args.connection.json {
        return output::json(&why);
    }
    output::line(format_args!("{id} is {}", why.state))?;
    for waiting in &why.waiting_for {
        let until =
            waiting.until.map(|at| format!(" (until {at}, {})", clock::until(at))).unwrap_or_default();
        output::line(format_args!("  {}: {}{until}", waiting.reason, waiting.detail))?;
        if let Some(of) = &waiting.budget {
            budget(of)?;
        }
    }
    match why.until {
        Some(at) => output::line(format_args!("That changes at {at}, {}.", clock::until(at))),
        None if why.waiting_for.is_empty() => output::line("It waits for nothing."),
        None => Ok(()),
    }
}

/// Where it stands in the queue of its budget, and what is missing.
fn budget(of: &WaitingForBudget) -> Result<()> {
    if let Some(position) = of.position {
        output::line(format_args!("    place {position} in the queue of {}", of.path))?;
    }
    if let Some(behind) = &of.behind {
        output::line(format_args!("    behind {behind}, which names the same budgets"))?;
    }
    let Some(short) = &of.shortfall else { return Ok(()) };
    let amount = |amount| one(&short.dimension, amount);
    output::line(format_args!(
        "    {} is missing in window {} of {}: {} used and {} held of {}",
        amount(short.missing),
        short.window,
        short.path,
        amount(short.used),
        amount(short.held),
        amount(short.limit),
    ))?;
    match short.resets_at {
        Some(at) => output::line(format_args!("    it begins anew {}", clock::until(at))),
        None => output::line(format_args!("    `stint budget raise {}` gives it more", short.path)),
    }
}
