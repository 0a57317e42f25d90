//! `stint resume`.

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, ExecutionFilter};

use super::act::{self, Targets};
use super::connection::Connection;

/// Which executions.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let many = BulkRequest::new(BulkAction::Resume, ExecutionFilter::default());
    act::on(&args.targets, &args.connection, many, |client, id| async move { client.resume(&id).await })
}
