//! `stint why`.

use anyhow::Result;

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
    }
    match why.until {
        Some(at) => output::line(format_args!("That changes at {at}, {}.", clock::until(at))),
        None if why.waiting_for.is_empty() => output::line("It waits for nothing."),
        None => Ok(()),
    }
}
