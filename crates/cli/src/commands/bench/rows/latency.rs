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
use crate::commands::bench::forest::{DIMENSION, Sum, add_books, audit, settings};
use crate::commands::bench::meter::{Latencies, Usage, round};
use crate::commands::bench::target::Target;

/// Parked workers.
const WORKERS: usize = 16;

/// Submissions a second.
const RATES: [u64; 2] = [SLOW, 500];

/// So few that nothing waits for anything else.
const SLOW: u64 = 50;

const KIND: &str = "latency";

/// The budget of those that name one.
const PATH: &str = "latency/team";

/// What each holds of it.
const HELD: u64 = 10;

/// More than all hold.
const LIMIT: u64 = 1 << 40;

/// How often something is submitted, and from which budget it may spend.
#[derive(Clone, Copy)]
struct Load {
    rate: u64,
    budget: Option<&'static str>,
}

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
        let measured = at_rate(&args, Load { rate, budget: None }).await?;
        all_ok &= measured.get("checks").and_then(|checks| checks.get("ok")) == Some(&Value::Bool(true));
        figures.insert(format!("at_{rate}_per_s"), measured);
    }
    figures.insert("workers".to_owned(), WORKERS.into());
    figures.insert("checks".to_owned(), json!({"ok": all_ok}));
    Ok(figures)
}

/// The same with one permit to get before the start, beside what it takes without.
pub(super) async fn with_permit(args: Args) -> Figures {
    let plain = at_rate(&args, Load { rate: SLOW, budget: None }).await?;
    let permitted = at_rate(&args, Load { rate: SLOW, budget: Some(PATH) }).await?;
    let p50 = |measured: &Value| measured.pointer("/submit_to_handler_start/p50_ms").and_then(Value::as_f64);
    let ratio = p50(&permitted).unwrap_or(0.0) / p50(&plain).unwrap_or(0.0).max(f64::MIN_POSITIVE);
    let all_ok = [&plain, &permitted]
        .iter()
        .all(|measured| measured.pointer("/checks/ok") == Some(&Value::Bool(true)));
    let mut figures = Map::new();
    figures.insert("without".to_owned(), plain);
    figures.insert("with".to_owned(), permitted);
    figures.insert("with_to_without".to_owned(), round(ratio).into());
    figures.insert("workers".to_owned(), WORKERS.into());
    figures.insert("checks".to_owned(), json!({"ok": all_ok}));
    Ok(figures)
}

async fn at_rate(args: &Args, load: Load) -> Result<Value> {
    let Load { rate, budget } = load;
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
    if budget.is_some() {
        for path in ["latency", PATH] {
            client.budget(path).set(settings(LIMIT)).await?;
        }
    }
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut submissions = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        let (client, open, ids, submit) = (client.clone(), open.clone(), ids.clone(), submit.clone());
        submissions.spawn(async move {
            let since = Instant::now();
            open.since.lock().unwrap_or_else(PoisonError::into_inner).insert(number, since);
            let task = Submission::new(KIND).input(&number);
            let task = match budget {
                Some(path) => task.budget(path, |spending| spending.hold(DIMENSION, HELD)),
                None => task,
            };
            let submitted = client.submit(task).await?;
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
    let mut checks = ids.verify(&client, args.verify, Some(count)).await?;
    if let Some(path) = budget {
        let books = audit(&client, path, Sum::default()).await?;
        let ok = books.wrong == 0 && books.held == 0;
        add_books(&mut checks, json!({"ok": ok, "differences": books.wrong, "holds_left": books.held}));
    }
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
