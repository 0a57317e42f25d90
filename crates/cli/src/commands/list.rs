//! `stint list`.

use anyhow::Result;
use stint::api::ExecutionSummary;

use super::connection::Connection;
use super::filter::Filter;
use crate::{clock, output};

/// What to list.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Executions at most.
    #[arg(long, value_name = "N", default_value = "100")]
    limit: std::num::NonZeroUsize,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Prints only how many there are.
    #[arg(long, conflicts_with_all = ["limit", "all"])]
    count: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let filter = args.filter.request();
    if args.count {
        let counted = args.connection.run(|client| async move { Ok(client.count(filter).await?) })?;
        if args.connection.json {
            return output::json(&counted);
        }
        let at_least = if counted.at_least { "at least " } else { "" };
        return output::line(format_args!("{at_least}{}", counted.count));
    }
    let limit = if args.all { usize::MAX } else { args.limit.get() };
    let as_json = args.connection.json;
    let mut rows = Vec::new();
    let is_cut = args.connection.run(|client| {
        let rows = &mut rows;
        async move {
            let mut found = client.list(filter);
            let mut count = 0;
            while let Some(execution) = found.next().await {
                let execution = execution?;
                if count == limit {
                    return Ok(true);
                }
                count += 1;
                // Programs get each as it comes; a table's columns need all rows.
                match as_json {
                    true => output::json(&execution)?,
                    false => rows.push(row(&execution)),
                }
            }
            Ok(false)
        }
    })?;
    if !as_json {
        output::table(["id", "kind", "lane", "state", "attempt", "worker", "age", ""], rows)?;
    }
    if is_cut {
        eprintln!("stint: there are more; --limit N or --all shows them, --count counts them");
    }
    Ok(())
}

fn row(execution: &ExecutionSummary) -> [String; 8] {
    let state = match &execution.reason {
        Some(reason) => format!("{} ({reason})", execution.state),
        None => execution.state.to_string(),
    };
    [
        execution.id.clone(),
        execution.kind.clone(),
        execution.lane.clone(),
        state,
        execution.attempt.to_string(),
        execution.worker.clone().unwrap_or_default(),
        clock::ago(execution.submitted_at),
        note(execution),
    ]
}

/// What is worth knowing about it in a few words.
fn note(execution: &ExecutionSummary) -> String {
    if let Some(error) = &execution.error {
        let first = error.message.lines().next().unwrap_or_default();
        return format!("{}: {first}", error.kind);
    }
    if let Some(at) = execution.run_at {
        return format!("due {}", clock::until(at));
    }
    match &execution.progress {
        Some(progress) if !execution.state.is_terminal() => {
            let percent = progress.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
            let message = progress.message.as_deref().unwrap_or_default();
            format!("{percent} {message}").trim().to_owned()
        }
        _ => String::new(),
    }
}
