//! `stint submit`.

use std::time::Duration;

use anyhow::{Context, Result};
use stint::Submission;

use super::connection::{Connection, block_on};

/// What to submit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which handler runs it.
    kind: String,
    /// Its input, as JSON.
    #[arg(default_value = "null")]
    input: String,
    /// The queue it stands in.
    #[arg(long)]
    lane: Option<String>,
    /// -100 to 100, higher first.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Not before this many milliseconds.
    #[arg(long)]
    delay_ms: Option<u64>,
    /// The same key answers with the first execution.
    #[arg(long)]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let input: Box<serde_json::value::RawValue> =
        serde_json::from_str(&args.input).context("the input is not JSON")?;
    let mut submission = Submission::new(args.kind).input(&input);
    if let Some(lane) = args.lane {
        submission = submission.lane(lane);
    }
    if let Some(priority) = args.priority {
        submission = submission.priority(priority);
    }
    if let Some(ms) = args.delay_ms {
        submission = submission.delay(Duration::from_millis(ms));
    }
    if let Some(key) = args.idempotency_key {
        submission = submission.idempotency_key(key);
    }
    let client = args.connection.client()?;
    let submitted = block_on(async { Ok(client.submit(submission).await?) })?;
    if args.connection.json {
        println!("{}", serde_json::to_string(&submitted)?);
    } else {
        println!("{} {}", submitted.id, submitted.state);
    }
    Ok(())
}
