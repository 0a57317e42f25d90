//! `stint logs`.

use anyhow::Result;

use super::connection::Connection;
use crate::output;

/// Whose log.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    /// Only this attempt's lines.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let (id, attempt, as_json) = (args.id, args.attempt, args.connection.json);
    args.connection.run(|client| async move {
        let mut lines = client.logs(&id, attempt);
        while let Some(line) = lines.next().await {
            let line = line?;
            match as_json {
                true => output::json(&line)?,
                false => output::line(format_args!("{} #{} {}", line.at, line.attempt, line.line))?,
            }
        }
        Ok(())
    })
}
