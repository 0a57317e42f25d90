//! `stint lane`: shows and sets queues.

use anyhow::Result;
use clap::Subcommand;
use stint::LaneHandle;
use stint::api::{Lane, LaneReply, LaneSettings};

use super::connection::Connection;
use super::submission::pair;
use crate::output;

/// What to do with lanes.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists lanes that have settings or open executions.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows a lane: its settings and what stands in it.
    Show(Named),
    /// Changes settings of a lane. What is not given stays as it is.
    Set(Set),
    /// Lets nothing in a lane start.
    Pause(Named),
    /// Ends a pause or a drain.
    Resume(Named),
    /// Refuses new work while what is there runs to its end.
    Drain(Named),
}

#[derive(clap::Args)]
struct Named {
    /// The lane's name.
    name: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Set {
    /// The lane's name.
    name: String,
    /// The share of a fairness key; 0 takes the setting away. May be repeated.
    #[arg(long = "weight", value_name = "KEY=WEIGHT", value_parser = pair)]
    weights: Vec<(String, String)>,
    /// How much waiting one step of priority is worth; 0 sets the default again.
    #[arg(long, value_name = "MS")]
    age_step_ms: Option<u64>,
    /// How many unfinished executions it may hold; 0 is without a limit.
    #[arg(long, value_name = "N")]
    max_length: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { connection } => {
            let lanes = connection.run(|client| async move { Ok(client.lanes().all().await?) })?;
            print(&lanes, &connection)
        }
        Command::Show(Named { name, connection }) => {
            let lane = connection.run(|client| async move { Ok(client.lane(name).get().await?) })?;
            print(&[lane], &connection)
        }
        Command::Set(args) => set(args),
        Command::Pause(named) => act(named, async |lane| lane.pause().await),
        Command::Resume(named) => act(named, async |lane| lane.resume().await),
        Command::Drain(named) => act(named, async |lane| lane.drain().await),
    }
}

fn act(named: Named, act: impl AsyncFnOnce(LaneHandle) -> Result<LaneReply, stint::Error>) -> Result<()> {
    let Named { name, connection } = named;
    let reply = connection.run(|client| async move { Ok(act(client.lane(name)).await?) })?;
    changed(&reply, &connection)
}

/// The API replaces all settings; people change one.
fn set(args: Set) -> Result<()> {
    let Set { name, weights, age_step_ms, max_length, connection } = args;
    let mut given = Vec::with_capacity(weights.len());
    for (key, weight) in weights {
        let weight: u32 = weight.parse().map_err(|_| {
            crate::exit::Failed::Usage(format!("--weight {key}={weight}: the weight is no number"))
        })?;
        given.push((key, weight));
    }
    let reply = connection.run(|client| async move {
        let lane = client.lane(name);
        let now = lane.get().await?;
        let mut settings = LaneSettings {
            weights: now.weights,
            age_step_ms: age_step_ms.or(Some(now.age_step_ms)).filter(|ms| *ms > 0),
            max_length: max_length.or(now.max_length).filter(|length| *length > 0),
            namespace: None,
        };
        for (key, weight) in given {
            match weight {
                0 => settings.weights.remove(&key),
                weight => settings.weights.insert(key, weight),
            };
        }
        Ok(lane.set(settings).await?)
    })?;
    changed(&reply, &connection)
}

fn changed(reply: &LaneReply, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(reply);
    }
    print(std::slice::from_ref(&reply.lane), connection)?;
    output::unconfirmed(&reply.missing_partitions);
    Ok(())
}

/// Lanes, as a table or one in a line of JSON.
fn print(lanes: &[Lane], connection: &Connection) -> Result<()> {
    if connection.json {
        return lanes.iter().try_for_each(output::json);
    }
    let rows = lanes.iter().map(|lane| {
        let weights: Vec<String> =
            lane.weights.iter().map(|(key, weight)| format!("{key}={weight}")).collect();
        [
            lane.name.clone(),
            mode(lane).to_owned(),
            lane.ready.to_string(),
            lane.running.to_string(),
            lane.waiting.to_string(),
            lane.max_length.map(|length| length.to_string()).unwrap_or_default(),
            weights.join(" "),
        ]
    });
    output::table(["lane", "mode", "ready", "running", "waiting", "max length", "weights"], rows)
}

/// What a lane does with work, in a word.
pub(super) fn mode(lane: &Lane) -> &'static str {
    match (lane.paused, lane.draining) {
        (true, true) => "paused, draining",
        (true, false) => "paused",
        (false, true) => "draining",
        (false, false) => "open",
    }
}
