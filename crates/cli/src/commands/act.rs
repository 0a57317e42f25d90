//! One thing done to executions: to those that are named, or to all that a filter wants.

use std::future::Future;
use std::io::{BufRead, IsTerminal};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stint::api::{ActionReply, BulkReply, BulkRequest};
use stint::{Client, Error};

use super::bulk;
use super::connection::Connection;
use super::filter::Filter;
use super::show::word;
use crate::exit::Failed;
use crate::output;
use crate::signals::Interrupts;

/// Which executions: ids, or a filter.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Targets {
    /// Executions' ids. Without any, the filter says which.
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) many: Many,
}

/// All executions that a filter wants.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Which executions")]
pub(crate) struct Many {
    #[command(flatten)]
    filter: Filter,
    /// All executions of the namespace.
    #[arg(long)]
    all: bool,
    /// Does not ask before acting on many.
    #[arg(long)]
    yes: bool,
    /// Only counts them.
    #[arg(long)]
    dry_run: bool,
}

impl Many {
    /// Whether it is about any.
    fn is_said(&self) -> bool {
        self.all || !self.filter.is_empty()
    }
}

/// Acts on each id by itself, or on all that the filter wants in one job.
pub(super) fn on<Acting>(
    targets: &Targets,
    connection: &Connection,
    many: BulkRequest,
    one: impl Fn(Client, String) -> Acting,
) -> Result<()>
where
    Acting: Future<Output = Result<ActionReply, Error>>,
{
    let by_filter = targets.many.is_said();
    match (targets.ids.is_empty(), by_filter) {
        (false, false) if targets.many.dry_run => {
            Err(Failed::Usage("--dry-run counts what a filter wants, and has none".to_owned()).into())
        }
        (false, false) => on_each(&targets.ids, connection, one),
        (true, _) => on_many(&targets.many, connection, many),
        (false, true) => {
            let what = "ids and filters exclude each other: name the executions, or say which are wanted";
            Err(Failed::Usage(what.to_owned()).into())
        }
    }
}

/// Does it to each id, prints what each is then, and goes on after one that is refused.
fn on_each<Acting>(
    ids: &[String],
    connection: &Connection,
    act: impl Fn(Client, String) -> Acting,
) -> Result<()>
where
    Acting: Future<Output = Result<ActionReply, Error>>,
{
    connection.run(|client| async move {
        let mut refused = 0;
        for id in ids {
            match act(client.clone(), id.clone()).await {
                Ok(reply) if connection.json => output::json(&reply)?,
                Ok(reply) => output::line(format_args!("{} {}", reply.id, reply.state))?,
                // Of one alone the error is the command's.
                Err(Error::Refused(problem)) if ids.len() > 1 => {
                    refused += 1;
                    eprintln!("stint: {id}: {problem}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        match refused {
            0 => Ok(()),
            refused => Err(Failed::Refused(format!("{refused} of {} were refused", ids.len())).into()),
        }
    })
}

/// Counts first, asks, begins a job, and shows how far it is.
pub(super) fn on_many(targets: &Many, connection: &Connection, mut request: BulkRequest) -> Result<()> {
    if !targets.is_said() {
        let what = "which executions? Name ids, or a filter such as --lane, --state or --kind, or --all";
        return Err(Failed::Usage(what.to_owned()).into());
    }
    request.filter = targets.filter.request();
    let counting = BulkRequest { dry_run: Some(true), ..request.clone() };
    let counted = connection.run(|client| async move { Ok(client.begin_bulk(counting).await?) })?;
    if targets.dry_run {
        return if connection.json { output::json(&counted) } else { output::line(number(&counted)) };
    }
    let what = format!("{} {} executions", word(&request.action), number(&counted));
    if !targets.yes {
        confirm(&what)?;
    }
    let job = connection.run(|client| async move {
        let mut interrupts = Interrupts::listen()?;
        let begun = client.begin_bulk(request).await?;
        let id = begun.job.context("the server began no job")?;
        let bar = bar(begun.count);
        let ended = tokio::select! {
            biased;
            () = interrupts.heard() => Err(Failed::Interrupted.into()),
            ended = bulk::ended(&client, &id, |job| bar.set_position(job.processed)) => ended,
        };
        bar.finish_and_clear();
        ended.with_context(|| {
            format!("{id} goes on; `stint bulk show {id} --wait` waits, `stint bulk stop {id}` ends it")
        })
    })?;
    bulk::tell(&job, connection)?;
    bulk::whole(&job)
}

fn number(counted: &BulkReply) -> String {
    let at_least = if counted.at_least { "at least " } else { "" };
    format!("{at_least}{}", counted.count)
}

/// Asks on a terminal. Where nobody can be asked, the flag has to say it.
fn confirm(what: &str) -> Result<()> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(
            Failed::Usage(format!("this would {what}; say --yes to do it, --dry-run to count")).into()
        );
    }
    eprint!("{what}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("no answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failed::Interrupted).context("nothing was done"),
    }
}

fn bar(count: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} executions, {eta} left") {
        bar.set_style(style);
    }
    bar
}
