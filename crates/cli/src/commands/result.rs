//! `stint result`.

use std::time::Duration;

use anyhow::Result;
use stint::api::ResultReply;

use super::connection::{Connection, block_on};
use crate::exit::Failed;

/// Whose result.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    /// How long to wait for its end.
    #[arg(long, default_value_t = 0)]
    wait_ms: u64,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let client = args.connection.client()?;
    let wait = Duration::from_millis(args.wait_ms);
    let outcome = block_on(async { Ok(client.result::<()>(&args.id).wait_raw(wait).await?) })?;
    let reply = ResultReply { state: outcome.state, output: outcome.output, error: outcome.failure };
    if args.connection.json {
        println!("{}", serde_json::to_string(&reply)?);
    } else if let Some(output) = &reply.output {
        println!("{}", serde_json::to_string(output)?);
    }
    if reply.output.is_some() {
        return Ok(());
    }
    let why = reply.error.map(|error| format!(": {}: {}", error.kind, error.message)).unwrap_or_default();
    Err(Failed::Difference(format!("{} is {}{why}", args.id, reply.state)).into())
}
