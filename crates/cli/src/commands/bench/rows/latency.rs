//! From submission to the start of the handler, when workers wait for work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Map, Value, json};
use stint::{Client, Failure, Submission, Worker};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Figures;
use crate::commands::bench::Args;
use crate::commands::bench::check::Ids;
use crate::commands::bench::meter::{Latencies, Usage};
use crate::commands::bench::target::Target;

/// Parked workers.
const WORKERS: usize = 16;

/// Submissions a second.
const RATES: [u64; 2] = [50, 500];

const KIND: &str = "latency";

/// When each task was submitted, until its handler starts.
#[derive(Default)]
struct Open {
    since: Mutex<BTreeMap<u64, Instant>>,
    ended: Notify,
}

pub(super) async fn submit_to_start(args: Args) -> Figures {
    let mut figures = Map::new();
    let mut all_ok = true;
    for rate in RATES {
        let measured = at_rate(&args, rate).await?;
        all_ok &= measured.get("checks").and_then(|checks| checks.get("ok")) == Some(&Value::Bool(true));
        figures.insert(format!("at_{rate}_per_s"), measured);
    }
    figures.insert("workers".to_owned(), WORKERS.into());
    figures.insert("checks".to_owned(), json!({"ok": all_ok}));
    Ok(figures)
}

async fn at_rate(args: &Args, rate: u64) -> Result<Value> {
    let target = Target::server(args, args.store).await?;
    let open = Arc::new(Open::default());
    let to_start = Arc::new(Latencies::new()?);
    let (stop, _) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let worker = worker(&target.client()?, &open, &to_start)?;
        let mut stopped = stop.subscribe();
        workers.spawn(worker.run(async move {
            // Also ready if the sender is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
    }
    // Connections and parked exchanges are part of the set-up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ids = Arc::new(Ids::new()?);
    let submit = Arc::new(Latencies::new()?);
    let usage = Usage::start(target.server_pid())?;
    let count = args.lasting(20).as_secs() * rate;
    let client = target.client()?;
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut submissions = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        let (client, open, ids, submit) = (client.clone(), open.clone(), ids.clone(), submit.clone());
        submissions.spawn(async move {
            let since = Instant::now();
            open.since.lock().unwrap_or_else(PoisonError::into_inner).insert(number, since);
            let submitted = client.submit(Submission::new(KIND).input(&number)).await?;
            submit.record(since.elapsed());
            ids.add(&submitted.id)
        });
        while let Some(ended) = submissions.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = submissions.join_next().await {
        ended??;
    }
    loop {
        let ended = open.ended.notified();
        if open.since.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            break;
        }
        ended.await;
    }
    let used = usage.stop()?;
    let _ = stop.send(true);
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let checks = ids.verify(&target.client()?, args.verify, Some(count)).await?;
    target.end().await?;
    Ok(json!({
        "tasks": count,
        "submit_to_handler_start": to_start.figures(),
        "submit": submit.figures(),
        "usage": used.figures(count),
        "checks": checks,
    }))
}

fn worker(client: &Client, open: &Arc<Open>, to_start: &Arc<Latencies>) -> Result<Worker> {
    let (open, to_start) = (Arc::clone(open), Arc::clone(to_start));
    let worker = Worker::builder(client)
        .slots(1)
        .handler(KIND, move |_, number: u64| {
            let since = open.since.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            if let Some(since) = since {
                to_start.record(since.elapsed());
            }
            open.ended.notify_one();
            async { Ok::<_, Failure>(()) }
        })
        .build()?;
    Ok(worker)
}
