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
    /// Gives a worker nothing more; it finishes what it holds and ends.
    Drain {
        /// The worker's id, as the list shows it.
        id: String,
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
        Command::Drain { id, connection } => {
            let worker = connection.run(|client| async move { Ok(client.drain_worker(&id).await?) })?;
            print(&[worker], &connection)
        }
    }
}

fn print(workers: &[WorkerInfo], connection: &Connection) -> Result<()> {
    if connection.json {
        return workers.iter().try_for_each(output::json);
    }
    let rows = workers.iter().map(|worker| {
        [
            worker.id.clone(),
            worker.version.clone().unwrap_or_default(),
            worker.lanes.join(" "),
            worker.kinds.join(" "),
            worker.capabilities.join(" "),
            worker.leases.to_string(),
            worker.slots.to_string(),
            if worker.draining { "draining" } else { "" }.to_owned(),
            format!("{} ago", clock::ago(worker.seen_at)),
        ]
    });
    output::table(["id", "version", "lanes", "kinds", "capabilities", "holds", "free", "", "seen"], rows)
}
