//! `stint submit`: one execution, or one for each line of a file.

mod lines;
mod many;
mod tally;

use std::path::PathBuf;

use anyhow::Result;
use stint::api::{BATCH_EXECUTIONS, SubmitRequest};

use super::connection::Connection;
use super::submission::{Fields, Input};
use crate::exit::Failed;
use crate::output;

/// What to submit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which handler runs it. With --file, each line is an input for it; without, each line is a whole submission.
    #[arg(required_unless_present = "file")]
    kind: Option<String>,
    #[command(flatten)]
    input: Input,
    /// Submits one execution for each line of JSON in this file; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "input_file", "idempotency_key"])]
    file: Option<PathBuf>,
    /// The first line that is submitted, from 1: where an interrupted run said to go on.
    #[arg(long, value_name = "LINE", requires = "file", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
    /// The last line that is submitted.
    #[arg(long, value_name = "LINE", requires = "file")]
    to_line: Option<u64>,
    /// Writes lines that were refused to this file, as they are.
    #[arg(long, value_name = "FILE", requires = "file")]
    rejects: Option<PathBuf>,
    /// Gives each line without an idempotency key the key PREFIX:LINE, so that it is never submitted twice.
    #[arg(long, value_name = "PREFIX", requires = "file")]
    key_prefix: Option<String>,
    /// Lines in one request.
    #[arg(long, value_name = "LINES", requires = "file", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=BATCH_EXECUTIONS as u64))]
    batch: u64,
    /// Requests under way at the same time.
    #[arg(long, value_name = "N", requires = "file", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    in_flight: u64,
    /// The same key answers with the first execution.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    args.fields.check()?;
    match (&args.file, &args.kind) {
        (Some(_), _) => many::run(args),
        (None, Some(kind)) => one(kind.clone(), args),
        (None, None) => Err(Failed::Usage("either a kind or --file is needed".to_owned()).into()),
    }
}

fn one(kind: String, args: Args) -> Result<()> {
    let mut request = SubmitRequest::new(kind, args.input.payload()?);
    request.idempotency_key = args.idempotency_key;
    args.fields.complete(&mut request);
    let submitted = args.connection.run(|client| async move { Ok(client.submit(request.into()).await?) })?;
    if args.connection.json {
        return output::json(&submitted);
    }
    let before = if submitted.existed { " (it was there before)" } else { "" };
    output::line(format_args!("{} {}{before}", submitted.id, submitted.state))
}
