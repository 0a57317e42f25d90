//! `stint budget ledger`.

use anyhow::Result;
use stint::api::{Instant, LedgerEntry, LedgerKind, LedgerRequest};

use super::super::amounts::signed;
use super::super::connection::Connection;
use super::super::show::word;
use crate::{clock, output};

/// Entries printed unless told otherwise.
const SHOWN: usize = 100;

/// Which entries.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The budget's path.
    path: String,
    /// Only of this kind: charge, refund, adjustment, top_up, carry_over, repair or quarantined. May be repeated.
    #[arg(long = "kind", value_parser = kind)]
    kinds: Vec<LedgerKind>,
    /// Only of this execution.
    #[arg(long, value_name = "ID")]
    execution: Option<String>,
    /// Only of this model.
    #[arg(long)]
    model: Option<String>,
    /// Only recorded then or later: 2026-11-23T10:00:00Z, or how long ago: 15m, 2h, 7d.
    #[arg(long, value_name = "INSTANT", value_parser = clock::instant)]
    since: Option<Instant>,
    /// Only recorded before; written in the same way.
    #[arg(long, value_name = "INSTANT", value_parser = clock::instant)]
    until: Option<Instant>,
    /// Newest first.
    #[arg(long)]
    newest: bool,
    /// So many at most; 0 is all.
    #[arg(long, default_value_t = SHOWN)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    let Args { path, kinds, execution, model, since, until, newest, limit, connection } = args;
    let request = LedgerRequest {
        kinds,
        execution,
        model,
        since,
        until,
        newest_first: newest,
        ..LedgerRequest::default()
    };
    let most = if limit == 0 { usize::MAX } else { limit };
    let entries = connection.run(|client| async move {
        let mut found = client.budget(path).ledger(request);
        let mut entries = Vec::new();
        while entries.len() < most
            && let Some(entry) = found.next().await
        {
            entries.push(entry?);
        }
        Ok(entries)
    })?;
    if connection.json {
        return entries.iter().try_for_each(output::json);
    }
    let header = ["seq", "at", "kind", "path", "amounts", "execution", "step", "model", "id", "about"];
    output::table(header, entries.iter().map(row))
}

fn row(entry: &LedgerEntry) -> [String; 10] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let late = if entry.late { " (late)" } else { "" };
    [
        entry.seq.to_string(),
        entry.at.to_string(),
        format!("{}{late}", word(&entry.kind)),
        entry.path.clone(),
        entry.lines().map(|line| signed(line.dimension, line.amount)).collect::<Vec<_>>().join(" "),
        text(&entry.execution),
        text(&entry.step),
        text(&entry.model),
        text(&entry.charge_id),
        match (&entry.refunds, &entry.reason) {
            (Some(charge), _) => format!("of {charge}"),
            (None, reason) => text(reason),
        },
    ]
}

fn kind(text: &str) -> Result<LedgerKind, String> {
    let names: Vec<&str> = LedgerKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let found = LedgerKind::ALL.iter().find(|kind| kind.as_str() == text);
    found.copied().ok_or_else(|| format!("`{text}` is none of {}", names.join(", ")))
}
