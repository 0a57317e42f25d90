//! The `stint` binary.
//!
//! One file per command in `commands/`. Data goes to standard output, everything else to standard error.

mod children;
mod clock;
mod commands;
mod exit;
mod output;
mod proc;
mod profile;
mod signals;
mod store;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AFTER_HELP: &str = "Exit codes:
  0  done
  1  failed: the execution, the command, or a check that found a difference
  2  wrong arguments or configuration
  3  the server refused the request, or some of it
  4  no server answered, or none of this version
  5  the store can't be opened or has failed
  6  the execution was cancelled
  7  the execution's time was over
  8  the execution has not ended yet
130  interrupted
141  the reader of the output has gone";

/// Runs work that must finish.
#[derive(Parser)]
#[command(name = "stint", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server to try things with, on data that are removed at the end or kept in a directory.
    Dev(commands::dev::Args),
    /// Runs a server.
    Serve(commands::serve::Args),
    /// Submits one execution, or one for each line of a file.
    Submit(commands::submit::Args),
    /// Submits an execution, waits for its end and prints its output.
    Run(commands::run::Args),
    /// Works: runs a program for each execution of some kinds.
    Work(commands::work::Args),
    /// Lists executions.
    List(commands::list::Args),
    /// Shows an execution.
    Show(commands::show::Args),
    /// Says what an execution waits for.
    Why(commands::why::Args),
    /// Prints an execution's output, after waiting for it if asked to.
    Result(commands::result::Args),
    /// Shows what happens to an execution until its end.
    Watch(commands::watch::Args),
    /// Prints what an execution's attempts have logged.
    Logs(commands::logs::Args),
    /// Shows an execution's journal.
    Steps(commands::steps::Args),
    /// Cancels executions.
    Cancel(commands::cancel::Args),
    /// Runs executions that have ended again.
    Replay(commands::replay::Args),
    /// Changes executions' priority.
    Priority(commands::priority::Args),
    /// Keeps executions from starting; running ones are asked to stop.
    Pause(commands::pause::Args),
    /// Ends executions' pause.
    Resume(commands::resume::Args),
    /// Takes executions away from their workers; another attempt follows.
    Revoke(commands::revoke::Args),
    /// Adds tags to executions.
    Tag(commands::tag::Args),
    /// Shows and stops jobs that act on many executions.
    Bulk(commands::bulk::Args),
    /// Shows and sets lanes.
    Lane(commands::lane::Args),
    /// Shows and sets namespaces.
    Namespace(commands::namespace::Args),
    /// Shows, sets and explains budgets, and what was spent from them.
    Budget(commands::budget::Args),
    /// Extends, charges and ends holds that `budget hold` has made.
    Hold(commands::hold::Args),
    /// Shows and sets what usage costs.
    Price(commands::price::Args),
    /// Shows workers.
    Worker(commands::worker::Args),
    /// Shows lanes, workers and rates, live.
    Top(commands::top::Args),
    /// Shows, copies and restores a store.
    Store(commands::store::Args),
    /// Looks for what is wrong with a store or a server, and says what is and isn't promised.
    Doctor(commands::doctor::Args),
    /// Counts the files of a folder in worker processes, while a worker and the server are killed.
    Demo(commands::demo::Args),
    /// Measures, one JSON line per row.
    Bench(commands::bench::Args),
    /// Prints a script that completes commands in a shell.
    Completions(commands::completions::Args),
    #[command(hide = true)]
    WorkGuard,
    #[command(hide = true)]
    DemoWorker(commands::demo::WorkerArgs),
    #[command(hide = true)]
    DemoAgent(commands::demo::AgentArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Command::Dev(args) => commands::dev::run(args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Submit(args) => commands::submit::run(args),
        Command::Run(args) => commands::run::run(args),
        Command::Work(args) => commands::work::run(args),
        Command::List(args) => commands::list::run(args),
        Command::Watch(args) => commands::watch::run(args),
        Command::Logs(args) => commands::logs::run(args),
        Command::Steps(args) => commands::steps::run(args),
        Command::Top(args) => commands::top::run(args),
        Command::Show(args) => commands::show::run(args),
        Command::Why(args) => commands::why::run(args),
        Command::Result(args) => commands::result::run(args),
        Command::Cancel(args) => commands::cancel::run(args),
        Command::Replay(args) => commands::replay::run(args),
        Command::Priority(args) => commands::priority::run(args),
        Command::Pause(args) => commands::pause::run(args),
        Command::Resume(args) => commands::resume::run(args),
        Command::Revoke(args) => commands::revoke::run(args),
        Command::Tag(args) => commands::tag::run(args),
        Command::Bulk(args) => commands::bulk::run(args),
        Command::Lane(args) => commands::lane::run(args),
        Command::Namespace(args) => commands::namespace::run(args),
        Command::Budget(args) => commands::budget::run(args),
        Command::Hold(args) => commands::hold::run(args),
        Command::Price(args) => commands::price::run(args),
        Command::Worker(args) => commands::worker::run(args),
        Command::Store(args) => commands::store::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Demo(args) => commands::demo::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Completions(args) => commands::completions::run(args, Cli::command()),
        Command::WorkGuard => commands::work::run_guard(),
        Command::DemoWorker(args) => commands::demo::run_worker(args),
        Command::DemoAgent(args) => commands::demo::run_agent(args),
    };
    exit::code(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_names_a_flag_twice() {
        Cli::command().debug_assert();
    }
}
