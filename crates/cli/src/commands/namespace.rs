//! `stint namespace`: shows and sets namespaces.

use anyhow::Result;
use clap::Subcommand;
use stint::api::{Namespace, NamespaceSettings};

use super::connection::Connection;
use crate::output;

/// What to do with a namespace.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what a namespace is set to.
    Show(Show),
    /// Changes settings of a namespace.
    Set(Set),
}

#[derive(clap::Args)]
struct Show {
    /// The namespace's name.
    name: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Set {
    /// The namespace's name.
    name: String,
    /// How long executions that say nothing of it are kept after their end; `default` is 7 days.
    #[arg(long, value_name = "MS|default", value_parser = retention, required_unless_present = "ledger_retention_ms")]
    retention_ms: Option<Retention>,
    /// How long entries of the ledger are kept at least; `default` is 400 days.
    #[arg(long, value_name = "MS|default", value_parser = retention)]
    ledger_retention_ms: Option<Retention>,
    #[command(flatten)]
    connection: Connection,
}

/// None is core's default.
#[derive(Clone, Copy)]
struct Retention(Option<u64>);

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Show(Show { name, connection }) => {
            let namespace =
                connection.run(|client| async move { Ok(client.settings_of(name).get().await?) })?;
            print(&namespace, &connection)
        }
        Command::Set(Set { name, retention_ms, ledger_retention_ms, connection }) => {
            let reply = connection.run(|client| async move {
                let namespace = client.settings_of(name);
                // What is not named stays as it is.
                let is = namespace.get().await?;
                let settings = NamespaceSettings {
                    retention_ms: retention_ms.map_or(Some(is.retention_ms), |Retention(ms)| ms),
                    ledger_retention_ms: ledger_retention_ms
                        .map_or(Some(is.ledger_retention_ms), |Retention(ms)| ms),
                };
                Ok(namespace.set(settings).await?)
            })?;
            if connection.json {
                return output::json(&reply);
            }
            print(&reply.namespace, &connection)?;
            output::unconfirmed(&reply.missing_partitions);
            Ok(())
        }
    }
}

fn print(namespace: &Namespace, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(namespace);
    }
    let row = [
        namespace.name.clone(),
        namespace.retention_ms.to_string(),
        namespace.ledger_retention_ms.to_string(),
    ];
    output::table(["namespace", "retention ms", "ledger retention ms"], [row])
}

fn retention(text: &str) -> Result<Retention, String> {
    match text {
        "default" => Ok(Retention(None)),
        ms => {
            ms.parse().map(|ms| Retention(Some(ms))).map_err(|_| "expected milliseconds, or default".into())
        }
    }
}
