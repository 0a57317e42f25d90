//! `stint show`.

use anyhow::Result;
use comfy_table::Table;

use super::connection::{Connection, block_on};

/// What to show.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let client = args.connection.client()?;
    let execution = block_on(async { Ok(client.execution(&args.id).await?) })?;
    if args.connection.json {
        println!("{}", serde_json::to_string(&execution)?);
        return Ok(());
    }
    println!("{} {} in lane {} is {}", execution.id, execution.kind, execution.lane, execution.state);
    if let Some(error) = &execution.error {
        println!("{}: {}", error.kind, error.message);
    }
    let mut table = Table::new();
    table.set_header(["attempt", "worker", "started", "ended", "outcome", "error"]);
    for attempt in &execution.attempts {
        let ended = attempt.ended_at.map(|at| at.to_string()).unwrap_or_default();
        let outcome = attempt.outcome.and_then(|outcome| serde_json::to_value(outcome).ok());
        let outcome = outcome.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let error = attempt.error.as_ref().map(|e| format!("{}: {}", e.kind, e.message)).unwrap_or_default();
        table.add_row([
            attempt.attempt.to_string(),
            attempt.worker.clone(),
            attempt.started_at.to_string(),
            ended,
            outcome,
            error,
        ]);
    }
    if !execution.attempts.is_empty() {
        println!("{table}");
    }
    Ok(())
}
