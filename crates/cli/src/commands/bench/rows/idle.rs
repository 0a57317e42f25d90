//! A server with nothing to do, and a parked worker.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Figures;
use super::queue::{self, Emptier};
use crate::commands::bench::Args;
use crate::commands::bench::load::KIND;
use crate::commands::bench::meter::round;
use crate::commands::bench::target::Target;
use crate::proc;

pub(super) async fn idle(args: Args) -> Figures {
    let target = Target::server(&args, args.store).await?;
    let client = target.client()?;
    let ids = queue::fill(&client, 100, 100, KIND).await?;
    let emptier = Emptier::start(&client, KIND, 16)?;
    let pid = target.server_pid().context("there is no server")?;
    // Whatever the work has left to be done is done before idleness begins.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lasting = args.lasting(30);
    let before = (proc::read(pid)?, commands(&target).await?);
    tokio::time::sleep(lasting).await;
    let after = (proc::read(pid)?, commands(&target).await?);
    let runs = emptier.finish(ids.len()).await?;
    let checks = ids.verify(&client, args.verify, Some(runs)).await?;
    let cpu = (after.0.cpu - before.0.cpu).as_secs_f64() / lasting.as_secs_f64();
    let mut figures = Map::new();
    let said = json!({
        "seconds": lasting.as_secs(),
        "cpu_percent_of_a_core": round(cpu * 100.0),
        "bytes_written": after.0.written - before.0.written,
        "checks": checks,
    });
    if let Value::Object(said) = said {
        figures.extend(said);
    }
    if let (Some(before), Some(after)) = (before.1, after.1) {
        // Our own question is one of them.
        let rate = (after - before - 1.0) / lasting.as_secs_f64();
        figures.insert("valkey_commands_per_s".to_owned(), round(rate).into());
    }
    target.end().await?;
    Ok(figures)
}

async fn commands(target: &Target) -> Result<Option<f64>> {
    match &target.valkey {
        Some(server) => server.info("stats", "total_commands_processed").await.map(Some),
        None => Ok(None),
    }
}
