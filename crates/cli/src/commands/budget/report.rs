//! `stint budget report`.

use anyhow::Result;
use stint::Amounts;
use stint::api::{Instant, ReportBy, ReportEvery, ReportReply, ReportRequest};

use super::super::amounts::{difference_shown, one as amount};
use super::super::connection::Connection;
use crate::{clock, output};

/// What to sum up.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The budget's path.
    path: String,
    /// By what: path, kind, execution, model or tag.KEY.
    #[arg(long, default_value = "path", value_parser = by)]
    by: ReportBy,
    /// Only recorded then or later: 2026-11-23T10:00:00Z, or how long ago: 15m, 2h, 7d.
    #[arg(long, value_name = "INSTANT", value_parser = clock::instant)]
    since: Option<Instant>,
    /// Only recorded before; written in the same way.
    #[arg(long, value_name = "INSTANT", value_parser = clock::instant)]
    until: Option<Instant>,
    /// A row for every hour or day.
    #[arg(long, value_parser = every)]
    every: Option<ReportEvery>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    let Args { path, by, since, until, every, connection } = args;
    let request = ReportRequest { by: Some(by), since, until, every };
    let report = connection.run(|client| async move { Ok(client.budget(path).report(request).await?) })?;
    if connection.json {
        return output::json(&report);
    }
    print(&report)
}

fn print(report: &ReportReply) -> Result<()> {
    let rows = report.rows.iter().map(|row| {
        [
            row.at.map(|at| at.to_string()).unwrap_or_default(),
            row.key.clone(),
            difference_shown(&row.amounts, &row.less),
            row.charges.to_string(),
        ]
    });
    output::table(["at", report.by.as_str(), "spent", "charges"], rows)?;
    if report.truncated {
        eprintln!("stint: there are more rows; narrow it with --since and --until");
    }
    if let Some(since) = report.detailed_since {
        eprintln!("stint: of what was spent before {since} only days are known, and no executions");
    }
    let nothing = Amounts::default();
    for (when, spent, less) in [
        ("in all", &report.total, &report.less),
        ("per hour in the last hour", &report.burn_per_hour, &nothing),
        ("per hour in the last day", &report.burn_per_hour_of_day, &nothing),
    ] {
        let said = Some(difference_shown(spent, less)).filter(|said| !said.is_empty());
        output::line(format_args!("{when:<26} {}", said.unwrap_or_else(|| "nothing".to_owned())))?;
    }
    match &report.runs_out {
        Some(out) => output::line(format_args!(
            "At that rate the {} left in window {} of {} are gone {}.",
            amount(&out.dimension, out.left),
            out.window,
            out.path,
            clock::until(out.at),
        )),
        None => Ok(()),
    }
}

fn by(text: &str) -> Result<ReportBy, String> {
    match text {
        "path" => Ok(ReportBy::Path),
        "kind" => Ok(ReportBy::Kind),
        "execution" => Ok(ReportBy::Execution),
        "model" => Ok(ReportBy::Model),
        _ => match text.strip_prefix("tag.").filter(|key| !key.is_empty()) {
            Some(key) => Ok(ReportBy::Tag(key.to_owned())),
            None => Err(format!("`{text}` is not path, kind, execution, model or tag.KEY")),
        },
    }
}

fn every(text: &str) -> Result<ReportEvery, String> {
    match text {
        "hour" => Ok(ReportEvery::Hour),
        "day" => Ok(ReportEvery::Day),
        _ => Err(format!("`{text}` is not hour or day")),
    }
}
