//! `stint priority`.

use anyhow::Result;

use super::act;
use super::connection::Connection;

/// Whose priority.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// -100 to 100, higher first.
    #[arg(allow_negative_numbers = true)]
    priority: i32,
    /// Executions' ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let priority = args.priority;
    act::on_each(
        &args.ids,
        &args.connection,
        |client, id| async move { client.set_priority(&id, priority).await },
    )
}
