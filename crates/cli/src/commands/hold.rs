//! `stint hold`: what follows `stint budget hold`, for services that have no execution.

use anyhow::Result;
use clap::Subcommand;

use super::amounts::{amount, distinct, shown};
use super::charge::{self, Spent};
use super::connection::Connection;
use crate::exit::Failed;
use crate::output;

/// What to do with a hold.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Asks for more before more is spent.
    Extend(Extend),
    /// Records what was spent under it.
    Charge(Charge),
    /// Ends it with what was spent last.
    Settle(Charge),
    /// Ends it: what is left of it is free.
    Release(Release),
}

#[derive(clap::Args)]
struct Extend {
    /// The hold.
    hold: String,
    /// How much: usd=0.02, calls=3. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    amounts: Vec<(String, u64)>,
    /// The request's id: said again under the same, the answer is the same.
    #[arg(long)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Charge {
    /// The hold.
    hold: String,
    #[command(flatten)]
    spent: Spent,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Release {
    /// The hold.
    hold: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Extend(Extend { hold, amounts, id, connection }) => {
            let more = distinct(amounts)?;
            let what = shown(&more);
            let reply =
                connection.run(|client| async move { Ok(client.hold(hold).extend(id, more).await?) })?;
            if connection.json {
                output::json(&reply)?;
            } else if reply.granted {
                output::line(format_args!("granted {what}"))?;
            }
            match (reply.granted, reply.shortfall) {
                (true, _) => Ok(()),
                (false, Some(short)) => Err(Failed::Refused(format!(
                    "{} {} are missing in window {} of {}",
                    short.missing, short.dimension, short.window, short.path
                ))
                .into()),
                (false, None) => Err(Failed::Refused(format!("{what} were not granted")).into()),
            }
        }
        Command::Charge(Charge { hold, spent, connection }) => {
            let charge = spent.charge()?;
            let reply =
                connection.run(|client| async move { Ok(client.hold(hold).charge(charge).await?) })?;
            charge::tell(&reply, &connection)
        }
        Command::Settle(Charge { hold, spent, connection }) => {
            let charge = spent.charge()?;
            let reply =
                connection.run(|client| async move { Ok(client.hold(hold).settle([charge]).await?) })?;
            if connection.json {
                return output::json(&reply);
            }
            let mut said = "settled".to_owned();
            for (is_so, what) in [
                (!reply.duplicates.is_empty(), ", recorded before"),
                (!reply.quarantined.is_empty(), ", kept aside, not summed"),
                (reply.over_limit, ", above a hard limit"),
            ] {
                if is_so {
                    said += what;
                }
            }
            output::line(said)
        }
        Command::Release(Release { hold, connection }) => {
            connection.run(|client| async move { Ok(client.hold(hold).release().await?) })?;
            if connection.json { output::json(&serde_json::json!({"released": true})) } else { Ok(()) }
        }
    }
}
