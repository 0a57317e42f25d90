//! Budgets compared with their ledger while somebody asks for them, and when nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value, json};
use stint::{Charge, Client};

use super::Figures;
use crate::commands::bench::forest::{Sum, amount, audit, settings};
use crate::commands::bench::meter::{Latencies, Usage, round};
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, Backend};

/// Budgets unless it is said otherwise.
const BUDGETS: usize = 100_000;

/// Budgets of a tree, its root included.
const OF_A_TREE: usize = 1_000;

/// Charges of each budget below a root.
const CHARGES: u64 = 10;

/// One of so many is charged again.
const CHANGED: usize = 100;

/// Calls at the same time while all is set up.
const AT_ONCE: usize = 256;

/// More than is spent.
const LIMIT: u64 = 1 << 40;

/// A partition that has written is compared within this time.
const PASS: Duration = Duration::from_secs(40);

/// How long nothing is asked while the processor is watched.
const WATCHED: Duration = Duration::from_secs(5);

/// The first pass counts everything: it may take so long.
const FIRST_PASS: Duration = Duration::from_secs(600);

/// Between two questions.
const EVERY: Duration = Duration::from_millis(2);

/// Compares a pass over what has changed with a time without one, by how long commands wait.
pub(super) async fn pass(args: Args) -> Figures {
    let target = Target::in_process(&args, Backend::Embedded).await?;
    let client = target.client()?;
    let paths = paths(args.live.unwrap_or(BUDGETS));
    let leaves: Vec<String> = paths.iter().filter(|path| path.contains('/')).cloned().collect();
    let set = paths.iter().cloned().map(|path| {
        let budget = client.budget(path);
        async move {
            budget.set(settings(LIMIT)).await?;
            anyhow::Ok(())
        }
    });
    all(set.collect()).await?;
    for round in 0..CHARGES {
        all(leaves.iter().map(|path| charge(&client, path, round)).collect()).await?;
    }
    let first = Instant::now();
    let idle = stand_still(first).await?;
    let settled = first.elapsed();
    let quiet = ask(&client, &paths).await?;
    let before = target.counters().context("there is no store here")?.writes;
    all(leaves.iter().step_by(CHANGED).map(|path| charge(&client, path, CHARGES)).collect()).await?;
    let charged = target.counters().context("there is no store here")?.writes;
    let during = ask(&client, &paths).await?;
    let verified = target.counters().context("there is no store here")?.writes - charged;
    let changed = leaves.iter().step_by(CHANGED).count();
    let mut wrong = 0;
    let mut entries = 0;
    for tree in paths.iter().filter(|path| !path.contains('/')) {
        let of_tree = leaves.iter().enumerate().filter(|(_, leaf)| leaf.starts_with(&format!("{tree}/")));
        let charges: u64 = of_tree.map(|(at, _)| CHARGES + u64::from(at.is_multiple_of(CHANGED))).sum();
        let found = audit(&client, tree, Sum { charges, spent: charges }).await?;
        wrong += found.wrong + found.held;
        entries += found.entries;
    }
    target.end().await?;
    let figures = json!({
        "budgets": paths.len(),
        "ledger_entries": entries,
        "changed": changed,
        "first_pass_over_after_s": round(settled.as_secs_f64()),
        "without_a_pass": quiet.figures(),
        "with_a_pass": during.figures(),
        "cpu_of_the_pass_s": round((during.cpu.saturating_sub(quiet.cpu)).as_secs_f64()),
        "writes_of_the_pass": verified,
        "writes_of_the_charges": charged - before,
        "idle_cpu_percent_of_a_core": round(idle),
        // Nobody else writes: what was written is what the pass noted.
        "checks": {"ok": wrong == 0 && verified >= changed as u64, "differences": wrong},
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}

/// Trees and what is below them.
fn paths(budgets: usize) -> Vec<String> {
    let path = |at: usize| match (at / OF_A_TREE, at % OF_A_TREE) {
        (tree, 0) => format!("tree-{tree}"),
        (tree, budget) => format!("tree-{tree}/budget-{budget}"),
    };
    (0..budgets).map(path).collect()
}

fn charge(client: &Client, path: &str, round: u64) -> impl Future<Output = Result<()>> + use<> {
    let budget = client.budget(path);
    let charge = Charge::from(amount(1)).id(format!("{path}-{round}"));
    async move {
        budget.charge(charge).await?;
        Ok(())
    }
}

/// Runs all of these, some at the same time.
async fn all(of: Vec<impl Future<Output = Result<()>>>) -> Result<()> {
    stream::iter(of).buffer_unordered(AT_ONCE).try_collect().await
}

/// Returns when passes are over, with what the process takes of a core when it has nothing to do, in percent.
async fn stand_still(since: Instant) -> Result<f64> {
    tokio::time::sleep(PASS).await;
    let mut before = f64::MAX;
    while since.elapsed() < FIRST_PASS {
        let usage = Usage::start(None)?;
        tokio::time::sleep(WATCHED).await;
        let used = usage.stop()?;
        let percent = used.own_cpu.as_secs_f64() / used.elapsed.as_secs_f64() * 100.0;
        if percent < 5.0 && before < 5.0 {
            // Two passes' time says what idleness costs.
            let usage = Usage::start(None)?;
            tokio::time::sleep(2 * PASS).await;
            let used = usage.stop()?;
            return Ok(used.own_cpu.as_secs_f64() / used.elapsed.as_secs_f64() * 100.0);
        }
        before = percent;
    }
    bail!("the first pass does not end")
}

/// What it was like to ask.
struct Asked {
    answered: Latencies,
    cpu: Duration,
}

impl Asked {
    fn figures(&self) -> Value {
        json!({"answered": self.answered.figures(), "cpu_s": round(self.cpu.as_secs_f64())})
    }
}

/// Asks for one budget after the other, as long as a pass may take to come.
async fn ask(client: &Client, paths: &[String]) -> Result<Asked> {
    let answered = Latencies::new()?;
    let usage = Usage::start(None)?;
    let began = Instant::now();
    // A step that meets all trees, and other budgets in each.
    let mut asked = stream::iter((0..paths.len()).cycle().step_by(OF_A_TREE + 1));
    let mut ticks = tokio::time::interval(EVERY);
    while began.elapsed() < PASS
        && let Some(at) = asked.next().await
    {
        ticks.tick().await;
        let Some(path) = paths.get(at) else { continue };
        let since = Instant::now();
        client.budget(path).get().await?;
        answered.record(since.elapsed());
    }
    Ok(Asked { answered, cpu: usage.stop()?.own_cpu })
}
