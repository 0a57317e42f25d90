//! `stint show`.

use anyhow::Result;
use serde::Serialize;
use stint::api::Execution;

use super::amounts::shown;
use super::connection::Connection;
use crate::{clock, output};

/// What to show.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let id = args.id;
    let execution = args.connection.run(|client| async move { Ok(client.execution(&id).await?) })?;
    if args.connection.json {
        return output::json(&execution);
    }
    print(&execution)
}

fn print(execution: &Execution) -> Result<()> {
    let state = match (&execution.reason, &execution.progress) {
        (Some(reason), _) => format!("{} ({reason})", execution.state),
        (None, Some(progress)) if !execution.state.is_terminal() => {
            let percent = progress.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
            let message = progress.message.as_deref().unwrap_or_default();
            format!("{} ({})", execution.state, format!("{percent} {message}").trim())
        }
        (None, _) => execution.state.to_string(),
    };
    let mut lines = vec![
        ("id", execution.id.clone()),
        ("kind", execution.kind.clone()),
        ("lane", execution.lane.clone()),
        ("namespace", execution.namespace.clone()),
        ("state", state),
        ("priority", execution.priority.to_string()),
        ("submitted", format!("{} ({} ago)", execution.submitted_at, clock::ago(execution.submitted_at))),
    ];
    if let Some(at) = execution.run_at {
        lines.push(("due", format!("{at} ({})", clock::until(at))));
    }
    if let Some(at) = execution.deadline {
        lines.push(("deadline", format!("{at} ({})", clock::until(at))));
    }
    if let Some(at) = execution.ended_at {
        lines.push(("ended", format!("{at} ({} ago)", clock::ago(at))));
    }
    if !execution.tags.is_empty() {
        let tags: Vec<String> = execution.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(("tags", tags.join(" ")));
    }
    if !execution.requires.is_empty() {
        lines.push(("requires", execution.requires.join(", ")));
    }
    for (name, value) in
        [("fairness key", &execution.fairness_key), ("idempotency key", &execution.idempotency_key)]
    {
        if let Some(value) = value {
            lines.push((name, value.clone()));
        }
    }
    for used in &execution.budgets {
        let said = [("holds", &used.hold), ("cap", &used.cap), ("cap of an attempt", &used.attempt_cap)];
        let said = said
            .into_iter()
            .filter_map(|(name, amounts)| Some(format!(", {name} {}", shown(amounts.as_ref()?))));
        lines.push(("budget", format!("{}{}", used.path, said.collect::<String>())));
    }
    if !execution.spent.is_empty() {
        lines.push(("spent", shown(&execution.spent)));
    }
    if execution.crashes > 0 {
        lines.push(("crashes", execution.crashes.to_string()));
    }
    if let Some(error) = &execution.error {
        lines.push(("error", format!("{}: {}", error.kind, error.message)));
        if let Some(details) = &error.details {
            lines.push(("details", details.get().to_owned()));
        }
    }
    for (name, value) in lines {
        output::line(format_args!("{name:<16} {value}"))?;
    }
    if execution.attempts.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let rows = execution.attempts.iter().map(|attempt| {
        [
            attempt.attempt.to_string(),
            attempt.worker.clone(),
            attempt.started_at.to_string(),
            attempt.ended_at.map(|at| at.to_string()).unwrap_or_default(),
            attempt.outcome.map(|outcome| word(&outcome)).unwrap_or_default(),
            shown(&attempt.spent),
            attempt
                .error
                .as_ref()
                .map(|error| format!("{}: {}", error.kind, error.message))
                .unwrap_or_default(),
        ]
    });
    output::table(["attempt", "worker", "started", "ended", "outcome", "spent", "error"], rows)
}

/// A value that is one word in JSON, as that word.
pub(super) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map(str::to_owned).unwrap_or_default()
}
