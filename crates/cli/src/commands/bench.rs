//! `stint bench`: one JSON line per row, each through the public client and worker, each checked at the end.

mod calibrate;
mod check;
mod forest;
mod load;
mod meter;
mod rows;
mod target;
mod valkey;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use self::rows::{ROWS, Row};
use crate::exit::Failed;
use crate::store::{DurabilityArg, StoreArgs};

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Rows to run; all unless named.
    rows: Vec<String>,
    /// Names the rows and what each must reach.
    #[arg(long)]
    list: bool,
    /// How long the load of a row lasts; each row has its own default.
    #[arg(long)]
    seconds: Option<u64>,
    /// Tasks under way at the same time; each row has its own default.
    #[arg(long)]
    in_flight: Option<usize>,
    /// Which store, where a row does not say: `embedded` or `valkey`.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    store: Backend,
    /// What a confirmed commit of the embedded store survives.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Fsync)]
    durability: DurabilityArg,
    /// Live executions, in rows about many of them; each row has its own default.
    #[arg(long)]
    live: Option<usize>,
    /// Finished executions, in the row `start-large`.
    #[arg(long, default_value_t = 10_000_000)]
    finished: usize,
    /// Executions looked up at the end, evenly spread; all unless given.
    #[arg(long)]
    verify: Option<usize>,
    /// Where data are kept while a row runs; the system's temporary folder unless given.
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

/// Which store a row runs on.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    Embedded,
    Valkey,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.list {
        for row in ROWS {
            println!("{:<20} {}", row.name, row.goal);
        }
        return Ok(());
    }
    let chosen = choose(&args.rows)?;
    let mut missed = Vec::new();
    for row in chosen {
        // A runtime of its own, so that nothing of one row runs on into the next.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let figures = runtime.block_on((row.run)(args.clone())).with_context(|| format!("row {}", row.name));
        runtime.shutdown_timeout(Duration::from_secs(5));
        let figures = figures?;
        if figures.get("checks").and_then(|checks| checks.get("ok")) == Some(&Value::Bool(false)) {
            missed.push(row.name);
        }
        println!("{}", line(row, figures));
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failed::Difference(format!("tasks were not completed exactly once in: {}", missed.join(", "))).into())
}

impl Args {
    fn lasting(&self, default: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default).max(1))
    }

    fn in_flight(&self, default: usize) -> usize {
        self.in_flight.unwrap_or(default).max(1)
    }

    fn store_args(&self) -> StoreArgs {
        StoreArgs { durability: self.durability, accept_loss: false, low_water_mib: 512 }
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| match ROWS.iter().find(|row| row.name == name) {
        Some(row) => Ok(row),
        None => bail!("there is no row `{name}`; `stint bench --list` names them"),
    };
    names.iter().map(find).collect()
}

fn line(row: &Row, figures: Map<String, Value>) -> Value {
    let mut line = json!({"row": row.name, "goal": row.goal});
    if let Some(object) = line.as_object_mut() {
        object.extend(figures);
    }
    line
}
