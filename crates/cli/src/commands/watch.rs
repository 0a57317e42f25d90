//! `stint watch`: what happens to an execution, until its end.

use std::time::Duration;

use anyhow::Result;
use stint::api::ExecutionState;

use super::connection::Connection;
use super::outcome;
use crate::output;

/// What to watch.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let (id, as_json) = (args.id.as_str(), args.connection.json);
    let ended = args.connection.run(|client| async move {
        let mut events = client.follow(id);
        while let Some(event) = events.next().await {
            let event = event?;
            match as_json {
                true => output::json(&event)?,
                false if event.attempt == 0 => output::line(format_args!("{}  {}", event.at, event.event))?,
                false => {
                    output::line(format_args!("{}  {} (attempt {})", event.at, event.event, event.attempt))?;
                }
            }
        }
        Ok(client.result::<()>(id).wait_raw(Duration::ZERO).await?)
    })?;
    match ended.state {
        ExecutionState::Completed => Ok(()),
        state => {
            let why = ended.failure.map(|error| format!(": {}: {}", error.kind, error.message));
            Err(outcome::unfinished(id, state, &why.unwrap_or_default()))
        }
    }
}
