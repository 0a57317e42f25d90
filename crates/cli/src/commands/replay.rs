//! `stint replay`.

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, ExecutionFilter, ReplayRequest};

use super::act::{self, Targets};
use super::connection::Connection;

/// What to run again.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    targets: Targets,
    /// Runs this step and all later ones again; without it the whole journal is kept.
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let many = BulkRequest {
        from_step: args.from_step.clone(),
        ..BulkRequest::new(BulkAction::Replay, ExecutionFilter::default())
    };
    let request = ReplayRequest { from_step: args.from_step, namespace: None };
    act::on(&args.targets, &args.connection, many, |client, id| {
        let request = request.clone();
        async move { client.replay(&id, request).await }
    })
}
