//! `stint cancel`.

use anyhow::Result;
use stint::api::CancelRequest;

use super::act;
use super::connection::Connection;

/// What to cancel.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Executions' ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why, for the worker and for people.
    #[arg(long)]
    reason: Option<String>,
    /// How long running code may take to stop.
    #[arg(long, value_name = "MS")]
    grace_ms: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let request = CancelRequest { reason: args.reason, grace_ms: args.grace_ms, namespace: None };
    act::on_each(&args.ids, &args.connection, |client, id| {
        let request = request.clone();
        async move { client.cancel(&id, request).await }
    })
}
