//! `stint demo`: real work on real files, through the murder of a worker and of the server.

mod count;
mod files;
mod provider;
mod report;
mod run;
mod runaway;
mod work;
mod worker;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::exit::Failed;
use crate::signals::Interrupts;

pub(crate) use runaway::{AgentArgs, run_agent};
pub(crate) use worker::{WorkerArgs, run_worker};

/// What to count, or another demo.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// The folder whose files are counted. Unless given it is the repository around the current directory, and what `runaway`
    /// shows follows.
    folder: Option<PathBuf>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Other {
    /// Runs a stand-in for a provider of language models: it answers in the shape of OpenAI and keeps a bill.
    Provider(provider::Args),
    /// Lets two agents loop on that provider until their budget stops them, kills one and the server, and compares the ledger
    /// with the provider's bill.
    Runaway(runaway::Args),
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.other {
        Some(Other::Provider(args)) => provider::run(args),
        Some(Other::Runaway(args)) => runaway::run(args),
        None => both(args),
    }
}

fn both(args: Args) -> Result<()> {
    let (is_alone, json) = (args.folder.is_some(), args.json);
    count_files(args)?;
    if is_alone { Ok(()) } else { runaway::show(json) }
}

fn count_files(args: Args) -> Result<()> {
    let folder = match args.folder {
        Some(folder) => folder,
        None => files::repository_root()?,
    };
    let folder = folder.canonicalize().with_context(|| format!("{} can't be read", folder.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        // Whichever way this ends, dropping the run kills its children.
        tokio::select! {
            biased;
            () = interrupts.heard() => Err(Failed::Interrupted.into()),
            ended = run::run(&folder) => ended,
        }
    });
    runtime.shutdown_background();
    let report = ended?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print();
    }
    report.verdict()
}
