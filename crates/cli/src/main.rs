//! The `stint` binary.
//!
//! One file per command in `commands/`. Data goes to standard output, everything else to standard error.

mod children;
mod commands;
mod exit;
mod proc;
mod signals;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AFTER_HELP: &str = "Exit codes:
  0  done
  1  failed, or a check found a difference
  2  wrong arguments
  3  the server refused the request
  4  the server gave no answer
  5  the store can't be opened or has failed
130  interrupted";

/// Runs work that must finish.
#[derive(Parser)]
#[command(name = "stint", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server.
    Serve(commands::serve::Args),
    /// Counts the files of a folder in worker processes, while a worker and the server are killed.
    Demo(commands::demo::Args),
    /// Measures, one JSON line per row.
    Bench(commands::bench::Args),
    /// Submits one execution.
    Submit(commands::submit::Args),
    /// Shows an execution.
    Show(commands::show::Args),
    /// Waits for an execution's result.
    Result(commands::result::Args),
    #[command(hide = true)]
    DemoWorker(commands::demo::WorkerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Demo(args) => commands::demo::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Submit(args) => commands::submit::run(args),
        Command::Show(args) => commands::show::run(args),
        Command::Result(args) => commands::result::run(args),
        Command::DemoWorker(args) => commands::demo::run_worker(args),
    };
    exit::code(ended)
}
