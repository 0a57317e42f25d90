//! `stint store`: what a store holds, copies of it, and putting them back.

mod backup;
mod inspect;
mod look;
mod progress;
mod restore;

use anyhow::Result;
use clap::Subcommand;
use stint::{Client, Error};

use super::connection::Connection;

pub(super) use look::look;

/// What to do with a store.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what is in a store; changes nothing.
    Inspect(inspect::Args),
    /// Copies a store into a file, while a server goes on serving it or while nobody does.
    Backup(backup::Args),
    /// Puts a backup into an empty store. One that was interrupted goes on when it is started again.
    Restore(restore::Args),
}

/// Asks a server, and says what to do without one.
pub(super) fn ask<T, Asking>(connection: &Connection, question: impl FnOnce(Client) -> Asking) -> Result<T>
where
    Asking: Future<Output = Result<T>>,
{
    connection.run(question).map_err(|error| match error.downcast_ref::<Error>() {
        Some(Error::NoAnswer { .. }) => {
            error.context("a store that no server serves is looked at with --store")
        }
        _ => error,
    })
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Inspect(args) => inspect::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
    }
}
