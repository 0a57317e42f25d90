//! `stint demo runaway`: two agents that would spend for ever share a budget, through the murder of one of them and of the
//! server; then what Stint says was spent is held against the provider's own bill.

mod agent;
mod course;
mod report;

use anyhow::Result;

use crate::exit::Failed;
use crate::signals::Interrupts;

pub(crate) use agent::{AgentArgs, run_agent};

/// How to show what came out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    show(args.json)
}

/// Runs it to its end, and fails if one millionth of a dollar is missing.
pub(super) fn show(json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        // Whichever way this ends, dropping the run kills its children.
        tokio::select! {
            biased;
            () = interrupts.heard() => Err(Failed::Interrupted.into()),
            ended = course::run() => ended,
        }
    });
    runtime.shutdown_background();
    let report = ended?;
    if json {
        crate::output::json(&report)?
    } else {
        report.print()?
    }
    report.verdict()
}
