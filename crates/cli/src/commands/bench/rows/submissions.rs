//! Submissions alone: in batches of 1,000, and singly.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use stint::Submission;
use tokio::task::JoinSet;

use super::Figures;
use super::queue::Emptier;
use crate::commands::bench::check::Ids;
use crate::commands::bench::load::{self, KIND};
use crate::commands::bench::meter::{Latencies, Usage};
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, calibrate};

/// Bytes of input.
const INPUT: usize = 100;

pub(super) async fn batches(args: Args) -> Figures {
    let clients = args.in_flight(4);
    submissions(args, clients, 1_000, 10).await
}

pub(super) async fn single(args: Args) -> Figures {
    let clients = args.in_flight(16);
    submissions(args, clients, 1, 10).await
}

async fn submissions(args: Args, clients: usize, batch: usize, seconds: u64) -> Figures {
    let target = Target::server(&args, args.store).await?;
    let ids = Arc::new(Ids::new()?);
    let latency = Arc::new(Latencies::new()?);
    let usage = Usage::start(target.server_pid())?;
    let until = Instant::now() + args.lasting(seconds);
    let mut loops = JoinSet::new();
    for _ in 0..clients {
        // Each with connections and sessions of its own, as separate processes would have.
        let (client, ids, latency) = (target.client()?, ids.clone(), latency.clone());
        loops.spawn(async move {
            let task = || load::padded(Submission::new(KIND), INPUT);
            while Instant::now() < until {
                let since = Instant::now();
                if batch == 1 {
                    ids.add(&client.submit(task()).await?.id)?;
                } else {
                    for submitted in client.submit_batch((0..batch).map(|_| task())).await? {
                        ids.add(&submitted?.id)?;
                    }
                }
                latency.record(since.elapsed());
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    let used = usage.stop()?;
    let tasks = ids.len();
    // What was accepted must also be done, once.
    let client = target.client()?;
    let runs = Emptier::start(&client, KIND, 1_000)?.finish(tasks).await?;
    let checks = ids.verify(&client, args.verify, Some(runs)).await?;
    let (dir, counted) = target.end().await?;
    let mut figures = Map::new();
    let said = json!({
        "clients": clients,
        "batch": batch,
        "input_bytes": INPUT,
        "tasks": tasks,
        "submissions_per_s": used.per_second(tasks),
        "submit": latency.figures(),
        "usage": used.figures(tasks),
        "checks": checks,
        "calibration": {"disk": calibrate::disk(dir.path(), &counted)?},
    });
    if let Value::Object(said) = said {
        figures = said;
    }
    Ok(figures)
}
