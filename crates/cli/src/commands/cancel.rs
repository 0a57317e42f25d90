//! `stint cancel`.

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, CancelRequest, ExecutionFilter};

use super::act::{self, Targets};
use super::connection::Connection;

/// What to cancel.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    targets: Targets,
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
    let many = BulkRequest {
        reason: args.reason.clone(),
        grace_ms: args.grace_ms,
        ..BulkRequest::new(BulkAction::Cancel, ExecutionFilter::default())
    };
    let request = CancelRequest { reason: args.reason, grace_ms: args.grace_ms, namespace: None };
    act::on(&args.targets, &args.connection, many, |client, id| {
        let request = request.clone();
        async move { client.cancel(&id, request).await }
    })
}
