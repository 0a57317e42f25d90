//! `stint result`.

use std::time::Duration;

use anyhow::Result;

use super::connection::Connection;
use super::outcome::{self, Form};

/// Whose result.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    /// How long to wait for its end.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    wait_ms: u64,
    /// Prints a JSON string as its text.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let wait = Duration::from_millis(args.wait_ms);
    let id = args.id.clone();
    let outcome =
        args.connection.run(|client| async move { Ok(client.result::<()>(id).wait_raw(wait).await?) })?;
    outcome::print(&args.id, outcome, Form::of(args.connection.json, args.raw))
}
