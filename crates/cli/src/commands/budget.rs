//! `stint budget`: shows, sets and explains budgets.

mod ledger;
mod report;
mod set;
mod show;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use stint::Amounts;
use stint::api::{AdjustRequest, Instant, RefundRequest, TopUpRequest};

use super::amounts::{Difference, amount, difference, distinct, shown};
use super::charge::{self, Spent};
use super::connection::Connection;
use crate::{clock, output};

/// What to do with budgets.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists budgets: all, or one and those below it.
    Tree(Tree),
    /// Shows a budget as it stands.
    Show(Named),
    /// Makes a budget, or changes what it is set to. What is not given stays as it is.
    Set(Box<set::Args>),
    /// Gives a window other hard limits, higher or lower.
    Raise(Raise),
    /// Raises a window's limits for once; it is used up first.
    Topup(TopUp),
    /// Sets right what it has used, by an entry of its own: more, or less with a minus sign.
    Adjust(Adjust),
    /// Gives back some of what a charge took, in that charge's period.
    Refund(Refund),
    /// Sets money aside, for a service that has no execution, and prints the hold's id.
    Hold(Hold),
    /// Records what was spent from a budget, without a hold.
    Charge(Charge),
    /// Deletes a budget.
    Delete(Delete),
    /// Says in words whether anything can start under a budget now, and what is in the way.
    Explain(Named),
    /// Prints the ledger of a budget and of all below it.
    Ledger(ledger::Args),
    /// Sums up what was spent, by what, and says how long the rest lasts.
    Report(report::Args),
    /// Counts again what the ledger says, asks whether what is held is still wanted, and corrects what differs.
    Reconcile(Reconcile),
}

#[derive(clap::Args)]
struct Tree {
    /// Only this budget and those below it.
    path: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Named {
    /// The budget's path: acme/search/agent-7.
    path: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Raise {
    /// The budget's path.
    path: String,
    /// The window's name; it may be left out if there is one.
    #[arg(long)]
    window: Option<String>,
    /// A hard limit: usd=0.80, usd_micros=800000, calls=100. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    limits: Vec<(String, u64)>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct TopUp {
    /// The budget's path.
    path: String,
    /// How much more: usd=5, calls=100. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    amounts: Vec<(String, u64)>,
    /// Its id: said again under the same it changes nothing.
    #[arg(long)]
    id: String,
    /// The window's name; it may be left out if there is one.
    #[arg(long)]
    window: Option<String>,
    /// When what is left of it goes: 2026-12-01T00:00:00Z, or in how long: 7d. Said again it has to be the same instant.
    #[arg(long, value_name = "INSTANT", value_parser = clock::ahead)]
    expires_at: Option<Instant>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Adjust {
    /// The budget's path.
    path: String,
    /// What is added, or taken: usd=0.05, usd=-0.20, calls=-3. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = difference)]
    amounts: Vec<Difference>,
    /// Its id: said again under the same it changes nothing.
    #[arg(long)]
    id: String,
    /// Why, for people.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Refund {
    /// The budget's path: that of the charge, or one above it.
    path: String,
    /// How much of it: usd=0.02, calls=3. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    amounts: Vec<(String, u64)>,
    /// The charge's id.
    #[arg(long, value_name = "ID")]
    charge: String,
    /// Its own id: said again under the same it changes nothing.
    #[arg(long)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Hold {
    /// The budget's path.
    path: String,
    /// How much: usd=0.02, calls=3. May be repeated.
    #[arg(required = true, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    amounts: Vec<(String, u64)>,
    /// Its id: said again under the same it is the same hold.
    #[arg(long)]
    id: String,
    /// When it goes into doubt, unless it ends before.
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    ttl_ms: u64,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Charge {
    /// The budget's path.
    path: String,
    #[command(flatten)]
    spent: Spent,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Delete {
    /// The budget's path.
    path: String,
    /// Also if money is held under it.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Reconcile {
    /// The budget's path; all budgets unless given.
    path: Option<String>,
    /// Only tells what differs.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Tree(Tree { path, connection }) => {
            let budgets = connection.run(|client| async move {
                Ok(match path {
                    Some(path) => client.budget(path).tree().all().await?,
                    None => client.budgets().all().await?,
                })
            })?;
            show::tree(&budgets, &connection)
        }
        Command::Show(Named { path, connection }) => {
            let budget = connection.run(|client| async move { Ok(client.budget(path).get().await?) })?;
            show::one(&budget, &connection)
        }
        Command::Explain(Named { path, connection }) => {
            let budgets = connection.run(|client| async move { levels(&client, &path).await })?;
            show::explain(&budgets, &connection)
        }
        Command::Set(args) => set::run(*args),
        Command::Raise(Raise { path, window, limits, connection }) => {
            let limits = distinct(limits)?;
            let budget = connection.run(|client| async move {
                let budget = client.budget(path);
                let now = budget.get().await?;
                let window = only_window(&now, window)?;
                // If the reply is lost and the request goes out again late, it must not undo a newer change.
                Ok(budget.raise_if(now.generation, window, limits).await?)
            })?;
            show::one(&budget, &connection)
        }
        Command::Topup(TopUp { path, amounts, id, window, expires_at, connection }) => {
            let amounts = distinct(amounts)?;
            let budget = connection.run(|client| async move {
                let budget = client.budget(path);
                let window = only_window(&budget.get().await?, window)?;
                Ok(budget.top_up(TopUpRequest { id, window, amounts, expires_at, namespace: None }).await?)
            })?;
            show::one(&budget, &connection)
        }
        Command::Adjust(Adjust { path, amounts, id, reason, connection }) => {
            distinct(amounts.iter().map(|d| (d.dimension.clone(), d.amount)))?;
            let of = |less: bool| {
                Amounts::of(
                    amounts.iter().filter(|d| d.less == less).map(|d| (d.dimension.clone(), d.amount)),
                )
            };
            let request = AdjustRequest { id, amounts: of(false), less: of(true), reason, namespace: None };
            let budget = connection.run(|client| async move {
                let budget = client.budget(path);
                budget.adjust(request).await?;
                Ok(budget.get().await?)
            })?;
            show::one(&budget, &connection)
        }
        Command::Refund(Refund { path, amounts, charge: charge_id, id, connection }) => {
            let request = RefundRequest { id, charge_id, amounts: distinct(amounts)?, namespace: None };
            let budget = connection.run(|client| async move {
                let budget = client.budget(path);
                budget.refund(request).await?;
                Ok(budget.get().await?)
            })?;
            show::one(&budget, &connection)
        }
        Command::Hold(Hold { path, amounts, id, ttl_ms, connection }) => {
            let amounts = distinct(amounts)?;
            let ttl = Duration::from_millis(ttl_ms);
            let asked =
                connection.run(|client| async move { Ok(client.budget(path).hold(id, amounts, ttl).await?) });
            if connection.json
                && let Some(reply) = told(&asked)
            {
                output::json(reply)?;
                return asked.map(drop);
            }
            output::line(asked?.id())
        }
        Command::Charge(Charge { path, spent, connection }) => {
            let charge = spent.charge()?;
            let reply =
                connection.run(|client| async move { Ok(client.budget(path).charge(charge).await?) })?;
            charge::tell(&reply, &connection)
        }
        Command::Delete(Delete { path, force, connection }) => {
            connection.run(|client| async move { Ok(client.budget(path).delete(force).await?) })?;
            if connection.json { output::json(&serde_json::json!({"deleted": true})) } else { Ok(()) }
        }
        Command::Ledger(args) => ledger::run(args),
        Command::Report(args) => report::run(args),
        Command::Reconcile(args) => reconcile(args),
    }
}

/// What was answered, also where that is no: nothing is set aside by a hold that is over.
fn told(asked: &Result<stint::HoldHandle>) -> Option<&stint::api::HoldReply> {
    match asked {
        Ok(hold) => hold.reply(),
        Err(error) => match error.downcast_ref() {
            Some(stint::Error::HoldOver(reply)) => Some(reply),
            _ => None,
        },
    }
}

/// The budget of a path, behind those above it: work needs all of them.
async fn levels(client: &stint::Client, path: &str) -> Result<Vec<stint::api::Budget>> {
    let mut budgets = Vec::new();
    for (end, _) in path.match_indices('/') {
        match client.budget(path.get(..end).unwrap_or(path)).get().await {
            Ok(budget) => budgets.push(budget),
            Err(stint::Error::Refused(problem)) if problem.code == stint::api::Code::BudgetNotFound => {}
            Err(other) => return Err(other.into()),
        }
    }
    budgets.push(client.budget(path).get().await?);
    Ok(budgets)
}

/// The window that is meant: the one that was named, or the only one.
fn only_window(budget: &stint::api::Budget, named: Option<String>) -> Result<String> {
    if let Some(named) = named {
        return Ok(named);
    }
    match budget.windows.as_slice() {
        [window] => Ok(window.name.clone()),
        windows => {
            let names: Vec<&str> = windows.iter().map(|window| window.name.as_str()).collect();
            let what = format!("say which window is meant with --window: {}", names.join(", "));
            Err(crate::exit::Failed::Usage(what).into())
        }
    }
}

fn reconcile(args: Reconcile) -> Result<()> {
    let Reconcile { path, dry_run, connection } = args;
    let replies = connection.run(|client| async move {
        // A whole tree is counted by its root.
        let mut trees: Vec<String> = match path {
            Some(path) => vec![path],
            None => client.budgets().all().await?.into_iter().map(|budget| root(&budget.path)).collect(),
        };
        // Not in order: `a-x` stands between `a` and `a/x`.
        trees.sort_unstable();
        trees.dedup();
        let mut replies = Vec::with_capacity(trees.len());
        for tree in trees {
            replies.push(client.budget(tree).reconcile(dry_run).await?);
        }
        Ok(replies)
    })?;
    if connection.json {
        return replies.iter().try_for_each(output::json);
    }
    let drifts: Vec<_> = replies.iter().flat_map(|reply| &reply.drifts).collect();
    let counted: u64 = replies.iter().map(|reply| reply.counted).sum();
    let rows = drifts.iter().map(|drift| {
        [
            drift.path.clone(),
            drift.window.clone(),
            drift.period.to_string(),
            drift.top_up.iter().fold(drift.of.as_str().to_owned(), |of, id| format!("{of} of {id}")),
            shown(&drift.counted),
            shown(&drift.ledger),
        ]
    });
    if !drifts.is_empty() {
        output::table(["path", "window", "period", "of", "counted", "ledger"], rows)?;
    }
    for path in replies.iter().flat_map(|reply| &reply.remade) {
        output::line(format_args!("{path}: its counters were missing, or not its own"))?;
    }
    let strays: Vec<_> = replies.iter().flat_map(|reply| &reply.strays).collect();
    for stray in &strays {
        let held = shown(&stray.held);
        let what = if held.is_empty() { "a place in the queue".to_owned() } else { format!("{held} held") };
        let kept = if stray.dropped { "dropped" } else { "still there" };
        output::line(format_args!(
            "{}: {what} for {}, which does not want it: {kept}",
            stray.path, stray.execution
        ))?;
    }
    let done = if dry_run { "found" } else { "corrected" };
    let asked_after: u64 = replies.iter().map(|reply| reply.asked_after).sum();
    output::line(format_args!("{counted} counted, {} differences {done}", drifts.len()))?;
    output::line(format_args!("{asked_after} holds asked after, {} not wanted", strays.len()))
}

fn root(path: &str) -> String {
    path.split('/').next().unwrap_or(path).to_owned()
}
