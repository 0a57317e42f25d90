//! `stint tag`.

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, ExecutionFilter};

use super::act::{self, Many};
use super::connection::Connection;
use super::submission::pair;

/// What to add, and to which executions.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tags to add, or to give new values.
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
    added: Vec<(String, String)>,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let request = BulkRequest {
        tags: args.added.into_iter().collect(),
        ..BulkRequest::new(BulkAction::Tag, ExecutionFilter::default())
    };
    act::on_many(&args.many, &args.connection, request)
}
