//! `stint bulk`: jobs that act on many executions.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use stint::Client;
use stint::api::{BulkJob, BulkState};

use super::connection::Connection;
use super::show::word;
use crate::exit::Failed;
use crate::{clock, output};

/// How often a job is asked how far it is.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to do with jobs.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists jobs that run, and those that ended lately.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows how far a job is.
    Show {
        /// The job's id.
        job: String,
        /// Waits for its end.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Ends a job after the page it is at. What is done stays done.
    Stop {
        /// The job's id.
        job: String,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { connection } => {
            let jobs = connection.run(|client| async move { Ok(client.bulks().await?) })?;
            if connection.json {
                return jobs.iter().try_for_each(output::json);
            }
            let rows = jobs.iter().map(|job| {
                [
                    job.job.clone(),
                    word(&job.action),
                    word(&job.state),
                    job.matched.to_string(),
                    job.processed.to_string(),
                    job.changed.to_string(),
                    job.skipped.to_string(),
                    job.failed.to_string(),
                    format!("{} ago", clock::ago(job.started_at)),
                ]
            });
            let header =
                ["job", "action", "state", "matched", "processed", "changed", "skipped", "failed", "began"];
            output::table(header, rows)
        }
        Command::Show { job, wait, connection } => {
            let job = connection.run(|client| async move {
                if wait { ended(&client, &job, |_| {}).await } else { Ok(client.bulk(&job).await?) }
            })?;
            tell(&job, &connection)?;
            if wait { whole(&job) } else { Ok(()) }
        }
        Command::Stop { job, connection } => {
            let job = connection.run(|client| async move { Ok(client.stop_bulk(&job).await?) })?;
            tell(&job, &connection)
        }
    }
}

/// Waits for a job's end, and says on the way how far it is.
pub(super) async fn ended(client: &Client, job: &str, mut look: impl FnMut(&BulkJob)) -> Result<BulkJob> {
    loop {
        let job = client.bulk(job).await?;
        look(&job);
        if job.state != BulkState::Running {
            return Ok(job);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whoever waited for all of it is told if somebody has stopped it before.
pub(super) fn whole(job: &BulkJob) -> Result<()> {
    match job.state {
        BulkState::Stopped => {
            Err(Failed::Difference(format!("{} was stopped before its end", job.job)).into())
        }
        _ => Ok(()),
    }
}

/// Prints what a job has done. Executions that refused make it an error.
pub(super) fn tell(job: &BulkJob, connection: &Connection) -> Result<()> {
    if connection.json {
        output::json(job)?;
    } else {
        output::line(format_args!(
            "{} {} {}: {} changed, {} skipped, {} failed of {}{}",
            job.job,
            word(&job.action),
            word(&job.state),
            job.changed,
            job.skipped,
            job.failed,
            if job.at_least { "at least " } else { "" },
            job.matched
        ))?;
    }
    for error in &job.errors {
        eprintln!("stint: {}: {}: {}", error.id, error.code, error.detail);
    }
    match job.failed {
        0 => Ok(()),
        failed => Err(Failed::Refused(format!("{failed} executions refused it")).into()),
    }
}
