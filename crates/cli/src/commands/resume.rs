//! `stint resume`.

use anyhow::Result;

use super::act;
use super::connection::Connection;

/// Which executions.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Executions' ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    act::on_each(&args.ids, &args.connection, |client, id| async move { client.resume(&id).await })
}
