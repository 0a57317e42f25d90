//! Charges, by path and on leases, one after the other from each who spends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use stint::{Charge, Context, Failure, Submission, Worker};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Figures;
use crate::commands::bench::check::Ids;
use crate::commands::bench::forest::{DIMENSION, Forest, add_books, amount};
use crate::commands::bench::meter::{Latencies, Usage, Used, round};
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, Backend, calibrate};

/// What a charge takes.
const PRICE: u64 = 7;

/// What a lease holds: more than it spends in the longest run.
const HELD: u64 = 1 << 30;

/// Worker sessions.
const WORKERS: usize = 2;

const KIND: &str = "spender";

pub(super) async fn by_path(args: Args) -> Figures {
    let target = Target::recorded(&args, Backend::Embedded).await?;
    let client = target.client()?;
    let forest = Arc::new(Forest::plant(&client).await?);
    let latencies = Arc::new(Latencies::new()?);
    let in_flight = args.in_flight(256);
    let usage = Usage::start(None)?;
    let until = Instant::now() + args.lasting(10);
    let mut spenders = JoinSet::new();
    for spender in 0..in_flight {
        let (client, forest, latencies) = (client.clone(), Arc::clone(&forest), Arc::clone(&latencies));
        spenders.spawn(async move {
            let budget = client.budget(forest.leaf(spender));
            let mut n = 0_u64;
            while Instant::now() < until {
                let since = Instant::now();
                let charge = Charge::from(amount(PRICE)).id(format!("{spender}-{n}"));
                budget.charge(charge).await?;
                latencies.record(since.elapsed());
                forest.note(spender, PRICE);
                n += 1;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = spenders.join_next().await {
        ended??;
    }
    let used = usage.stop()?;
    let checks = forest.verify(&client).await?;
    finish(&args, target, &forest, Measured { in_flight, used, latencies: latencies.figures(), checks }).await
}

pub(super) async fn on_leases(args: Args) -> Figures {
    let target = Target::recorded(&args, Backend::Embedded).await?;
    let client = target.client()?;
    let forest = Arc::new(Forest::plant(&client).await?);
    let latencies = Arc::new(Latencies::new()?);
    let in_flight = args.in_flight(256);
    let (runs, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // Nobody spends before all hold a lease, and until then nothing says when to end.
    let (until, ends) = watch::channel(None::<Instant>);
    let (stop, _) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let spender = Spender {
            forest: Arc::clone(&forest),
            latencies: Arc::clone(&latencies),
            runs: Arc::clone(&runs),
            ended: Arc::clone(&ended),
            ends: ends.clone(),
        };
        let worker = Worker::builder(&client)
            .slots(in_flight)
            .handler(KIND, move |ctx: Context, turn: usize| {
                let spender = spender.clone();
                async move { spender.run(&ctx, turn).await }
            })
            .build()?;
        let mut stopped = stop.subscribe();
        workers.spawn(worker.run(async move {
            // Also ready if the sender is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
    }
    let ids = Ids::new()?;
    for turn in 0..in_flight {
        let task = Submission::new(KIND)
            .input(&turn)
            .budget(forest.leaf(turn), |spending| spending.hold(DIMENSION, HELD));
        ids.add(&client.submit(task).await?.id)?;
    }
    reach(&runs, in_flight).await;
    let usage = Usage::start(None)?;
    until.send_replace(Some(Instant::now() + args.lasting(10)));
    tokio::time::sleep(args.lasting(10)).await;
    let used = usage.stop()?;
    reach(&ended, in_flight).await;
    stop.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let mut checks = ids.verify(&client, args.verify, Some(runs.load(Ordering::Relaxed))).await?;
    let books = forest.verify(&client).await?;
    add_books(&mut checks, books);
    finish(&args, target, &forest, Measured { in_flight, used, latencies: latencies.figures(), checks }).await
}

/// Waits until so many have.
async fn reach(count: &AtomicU64, wanted: usize) {
    while count.load(Ordering::Relaxed) < wanted as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Who spends on a lease.
#[derive(Clone)]
struct Spender {
    forest: Arc<Forest>,
    latencies: Arc<Latencies>,
    runs: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
    ends: watch::Receiver<Option<Instant>>,
}

impl Spender {
    async fn run(mut self, ctx: &Context, turn: usize) -> Result<(), Failure> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let spent = self.spend(ctx, turn).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        spent
    }

    async fn spend(&mut self, ctx: &Context, turn: usize) -> Result<(), Failure> {
        let gone = |_| Failure::new("bench_over", "nobody measures any more").no_retry();
        let until = self.ends.wait_for(Option::is_some).await.map_err(gone)?.unwrap_or_else(Instant::now);
        while Instant::now() < until {
            let since = Instant::now();
            ctx.charge(amount(PRICE)).await?;
            self.latencies.record(since.elapsed());
            self.forest.note(turn, PRICE);
        }
        Ok(())
    }
}

struct Measured {
    in_flight: usize,
    used: Used,
    latencies: Value,
    checks: Value,
}

async fn finish(args: &Args, target: Target, forest: &Forest, measured: Measured) -> Figures {
    let charges = forest.charges();
    let Measured { in_flight, used, latencies, checks } = measured;
    let counted = target.counters().context("the engine is not in this process")?;
    let recording = target.recording.clone().context("nothing was recorded")?;
    let (dir, _) = target.end().await?;
    let raw = calibrate::replay(args, Backend::Embedded, dir.path(), &recording, &counted, charges).await?;
    let raw_rate = raw.get("as_tasks_per_s").and_then(Value::as_f64).unwrap_or(f64::MAX);
    let figures = json!({
        "in_flight": in_flight,
        "charges": charges,
        "charges_per_s": used.per_second(charges),
        "answered": latencies,
        "usage": used.figures(charges),
        "store": calibrate::store_figures(&counted, charges),
        "share_of_raw_store": round(used.per_second(charges) / raw_rate),
        "calibration": {"raw_store": raw, "disk": calibrate::disk(dir.path(), &counted)?},
        "checks": checks,
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}
