//! Money that is not enough: who races for the last of it, and who waits for more.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use stint::{Charge, Client, Context, Error, Failure, HoldHandle, Submission, Worker};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Figures;
use super::queue;
use crate::commands::bench::check::Ids;
use crate::commands::bench::forest::{ALL, DIMENSION, Sum, amount, audit, settings};
use crate::commands::bench::meter::{Latencies, round};
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, Backend};

/// Who races.
const RACERS: usize = 200;

/// How often they do.
const RACES: u64 = 50;

/// What each wants, and all there is.
const PRICE: u64 = 10;

/// Handlers at the same time, where a queue waits.
const SLOTS: usize = 64;

/// The queue that a long one is compared with.
const SHORT: usize = 1_000;

/// How often the budget is raised by enough for one.
const RAISES: usize = 20;

/// A line stands if it does not change for this time.
const STANDS: Duration = Duration::from_millis(300);

/// Enough for everything.
const LIMIT: u64 = 1 << 50;

/// How long anything here may take to happen at all.
const PATIENCE: Duration = Duration::from_secs(120);

const PATH: &str = "scarce/team/agent";

const KIND: &str = "scarce";

/// Two hundred ask at the same moment for what is enough for one of them.
pub(super) async fn race(args: Args) -> Figures {
    let target = Target::in_process(&args, Backend::Embedded).await?;
    let client = target.client()?;
    let latencies = Latencies::new()?;
    let (mut over, mut under) = (0_u64, 0_u64);
    for race in 0..RACES {
        limit(&client, (race + 1) * PRICE).await?;
        let mut racers = JoinSet::new();
        for racer in 0..RACERS {
            let budget = client.budget(PATH);
            racers.spawn(async move {
                let since = Instant::now();
                let held = budget.hold(format!("{race}-{racer}"), amount(PRICE), PATIENCE).await;
                (held, since.elapsed())
            });
        }
        let mut winners = Vec::new();
        while let Some(raced) = racers.join_next().await {
            let (held, took) = raced?;
            latencies.record(took);
            winners.extend(won(held)?);
        }
        over += (winners.len() as u64).saturating_sub(1);
        under += u64::from(winners.is_empty());
        for winner in winners {
            winner.settle([Charge::from(amount(PRICE)).id(format!("call-{race}"))]).await?;
        }
    }
    let books = audit(&client, PATH, Sum { charges: RACES, spent: RACES * PRICE }).await?;
    target.end().await?;
    object(json!({
        "racers": RACERS,
        "races": RACES,
        "answered": latencies.figures(),
        "checks": {
            "ok": over == 0 && under == 0 && books.wrong == 0 && books.held == 0,
            "admitted_over": over,
            "races_without_winner": under,
            "ledger_entries": books.entries,
            "differences": books.wrong,
            "holds_left": books.held,
        },
    }))
}

/// Executions queue for a budget that is used up; then it is raised, by one more at a time, and by enough for all. A short queue
/// first, to compare with: what a raise costs must not follow the queue's length.
pub(super) async fn queue(args: Args) -> Figures {
    let long = args.live.unwrap_or(100_000);
    let short = queued(&args, SHORT.min(long)).await?;
    let long = queued(&args, long).await?;
    let of = |figures: &Value| figures.pointer("/first_start/p50_ms").and_then(Value::as_f64).unwrap_or(0.0);
    let is_ok = |figures: &Value| figures.pointer("/checks/ok") == Some(&Value::Bool(true));
    let ratio = round(of(&long) / of(&short).max(f64::MIN_POSITIVE));
    let checks = json!({"ok": is_ok(&long) && is_ok(&short)});
    object(json!({"short": short, "long": long, "long_to_short": ratio, "checks": checks}))
}

async fn queued(args: &Args, queued: usize) -> Result<Value> {
    let target = Target::in_process(args, Backend::Embedded).await?;
    let client = target.client()?;
    for path in ["scarce", "scarce/team"] {
        client.budget(path).set(settings(LIMIT)).await?;
    }
    client.budget(PATH).set(settings(PRICE)).await?;
    client.budget(PATH).charge(Charge::from(amount(PRICE)).id("before")).await?;
    let ids = Ids::new()?;
    let task = || Submission::new(KIND).budget(PATH, |spending| spending.hold(DIMENSION, PRICE));
    queue::fill_and_note(&client, queued, task, &ids).await?;
    let (starts, mut started) = mpsc::unbounded_channel();
    let worker = Worker::builder(&client)
        .slots(SLOTS)
        .handler(KIND, move |ctx: Context, _: Value| {
            let _ = starts.send(Instant::now());
            async move {
                ctx.charge(amount(PRICE)).await?;
                Ok::<_, Failure>(())
            }
        })
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(worker.run(async move {
        // Also ready if the sender is gone.
        let _ = stopped.await;
    }));
    let in_line = line_stands(&client).await?;
    let early = started.try_recv().is_ok();
    let (firsts, answers) = (Latencies::new()?, Latencies::new()?);
    let raises = RAISES.min(queued.saturating_sub(1));
    for raise in 0..raises {
        let all = amount((raise as u64 + 2) * PRICE);
        client.budget(PATH).raise("day", all.clone()).await?;
        let raised = Instant::now();
        client.budget(PATH).raise(ALL, all).await?;
        answers.record(raised.elapsed());
        firsts.record(next(&mut started).await?.saturating_duration_since(raised));
        // What it started has ended before the next.
        line_stands(&client).await?;
    }
    let since = Instant::now();
    client.budget(PATH).set(settings((queued as u64 + 1) * PRICE)).await?;
    for _ in raises..queued {
        next(&mut started).await?;
    }
    let rest = since.elapsed();
    drop(stop);
    run.await??;
    let mut checks = ids.verify(&client, args.verify, Some(queued as u64)).await?;
    let charges = queued as u64 + 1;
    let books = audit(&client, PATH, Sum { charges, spent: charges * PRICE }).await?;
    let is_ok = !early && books.wrong == 0 && books.held == 0 && started.try_recv().is_err();
    if let Some(checks) = checks.as_object_mut() {
        let is_ok = is_ok && checks.get("ok") == Some(&Value::Bool(true));
        checks.insert("ok".to_owned(), is_ok.into());
        checks.insert("differences".to_owned(), books.wrong.into());
        checks.insert("holds_left".to_owned(), books.held.into());
    }
    target.end().await?;
    Ok(json!({
        "queued": queued,
        "waiting_in_the_tree": in_line,
        "raise": answers.figures(),
        "first_start": firsts.figures(),
        "rest_started_s": round(rest.as_secs_f64()),
        "rest_per_s": round((queued - raises) as f64 / rest.as_secs_f64()),
        "checks": checks,
    }))
}

/// Sets both windows of every level.
async fn limit(client: &Client, limit: u64) -> Result<()> {
    for path in ["scarce", "scarce/team", PATH] {
        client.budget(path).set(settings(limit)).await?;
    }
    Ok(())
}

/// Who holds it; nobody if that was refused for want of money.
fn won(held: Result<HoldHandle, Error>) -> Result<Option<HoldHandle>> {
    match held {
        Ok(hold) => Ok(Some(hold)),
        Err(error) if error.code() == "budget_exhausted" => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns when some wait for the budget, nothing is held, and no more come.
async fn line_stands(client: &Client) -> Result<u64> {
    let since = Instant::now();
    let mut before = 0;
    while since.elapsed() < PATIENCE {
        tokio::time::sleep(STANDS).await;
        let budget = client.budget(PATH).get().await?;
        if budget.holds == 0 && budget.waiting > 0 && budget.waiting == before {
            return Ok(before);
        }
        before = budget.waiting;
    }
    bail!("nothing waits for the budget, or more and more does")
}

async fn next(started: &mut mpsc::UnboundedReceiver<Instant>) -> Result<Instant> {
    let start = tokio::time::timeout(PATIENCE, started.recv()).await.context("nothing starts any more")?;
    start.context("the worker is gone")
}

fn object(figures: Value) -> Figures {
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}
