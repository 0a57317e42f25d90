//! `stint steps`.

use anyhow::Result;
use stint::api::Payload;

use super::connection::Connection;
use super::show::word;
use crate::output;

/// Characters of a step's output in a table; --json has all of it.
const SHOWN: usize = 60;

/// Whose journal.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let id = args.id;
    let steps = args.connection.run(|client| async move { Ok(client.steps(&id).all().await?) })?;
    if args.connection.json {
        return steps.iter().try_for_each(output::json);
    }
    let rows = steps.iter().map(|step| {
        [
            step.key.clone(),
            word(&step.state),
            step.attempt.to_string(),
            step.at.to_string(),
            step.output.as_ref().map(short).unwrap_or_default(),
        ]
    });
    output::table(["step", "state", "attempt", "at", "output"], rows)
}

fn short(output: &Payload) -> String {
    match output {
        Payload::Bytes { bytes, content_type } => format!("{} bytes of {content_type}", bytes.len()),
        Payload::Json(json) => match json.get().char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", json.get().get(..end).unwrap_or_default()),
            None => json.get().to_owned(),
        },
    }
}
