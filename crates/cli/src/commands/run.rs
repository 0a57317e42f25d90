//! `stint run`: submit, wait, print.

use std::time::Duration;

use anyhow::{Context, Result};
use stint::api::SubmitRequest;

use super::connection::Connection;
use super::outcome::{self, Form};
use super::submission::{Fields, Input};
use crate::exit::Failed;
use crate::signals::Interrupts;

/// How long one question for the end may go on; longer waits are several.
const ASK_AGAIN: Duration = Duration::from_secs(3_600);

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which handler runs it.
    kind: String,
    #[command(flatten)]
    input: Input,
    /// How long to wait for its end; without end unless given. The execution goes on in any case.
    #[arg(long, value_name = "MS")]
    wait_ms: Option<u64>,
    /// Prints a JSON string as its text.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
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
    let mut request = SubmitRequest::new(args.kind, args.input.payload()?);
    request.idempotency_key = args.idempotency_key;
    args.fields.complete(&mut request);
    let wait = args.wait_ms.map(Duration::from_millis);
    let (id, outcome) = args.connection.run(|client| async move {
        let mut interrupts = Interrupts::listen()?;
        let submitted = client.submit(request.into()).await?;
        let id = submitted.id;
        // Data is only the output; the id is for whoever does not want to wait any longer.
        eprintln!("{id}");
        let waiting = async {
            loop {
                let outcome = client.result::<()>(id.as_str()).wait_raw(wait.unwrap_or(ASK_AGAIN)).await?;
                if wait.is_some() || outcome.state.is_terminal() {
                    return anyhow::Ok(outcome);
                }
            }
        };
        let outcome = tokio::select! {
            biased;
            () = interrupts.heard() => Err(Failed::Interrupted.into()),
            outcome = waiting => outcome,
        };
        let goes_on = || {
            format!("{id} goes on; `stint result {id} --wait-ms 60000` waits, `stint cancel {id}` ends it")
        };
        let outcome = outcome.with_context(goes_on)?;
        Ok((id, outcome))
    })?;
    outcome::print(&id, outcome, Form::of(args.connection.json, args.raw))
}
