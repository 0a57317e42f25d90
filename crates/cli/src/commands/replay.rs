//! `stint replay`.

use anyhow::Result;
use stint::api::ReplayRequest;

use super::act;
use super::connection::Connection;

/// What to run again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ids of executions that have ended.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Runs this step and all later ones again; without it the whole journal is kept.
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let request = ReplayRequest { from_step: args.from_step, namespace: None };
    act::on_each(&args.ids, &args.connection, |client, id| {
        let request = request.clone();
        async move { client.replay(&id, request).await }
    })
}
