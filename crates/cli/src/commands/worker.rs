//! `stint worker`: who works.

use anyhow::Result;
use clap::Subcommand;
use stint::api::WorkerInfo;

use super::connection::Connection;
use crate::{clock, output};

/// What to do with workers.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the workers seen lately.
    List {
        #[command(flatten)]
        connection: Connection,
    },
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { connection } => {
            let workers = connection.run(|client| async move { Ok(client.workers().await?) })?;
            print(&workers, &connection)
        }
    }
}

fn print(workers: &[WorkerInfo], connection: &Connection) -> Result<()> {
    if connection.json {
        return workers.iter().try_for_each(output::json);
    }
    let rows = workers.iter().map(|worker| {
        [
            worker.name.clone(),
            worker.session.clone().unwrap_or_default(),
            worker.version.clone().unwrap_or_default(),
            worker.lanes.join(" "),
            worker.kinds.join(" "),
            worker.capabilities.join(" "),
            worker.slots.to_string(),
            format!("{} ago", clock::ago(worker.seen_at)),
        ]
    });
    output::table(
        ["worker", "session", "version", "lanes", "kinds", "capabilities", "free slots", "seen"],
        rows,
    )
}
