//! `stint priority`.

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, ExecutionFilter};

use super::act::{self, Targets};
use super::connection::Connection;

/// Whose priority.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// -100 to 100, higher first.
    #[arg(allow_negative_numbers = true)]
    priority: i32,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let priority = args.priority;
    let many = BulkRequest {
        priority: Some(priority),
        ..BulkRequest::new(BulkAction::Priority, ExecutionFilter::default())
    };
    act::on(&args.targets, &args.connection, many, |client, id| async move {
        client.set_priority(&id, priority).await
    })
}
