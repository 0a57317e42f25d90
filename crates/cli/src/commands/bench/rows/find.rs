//! Lists and counts over many live and many archived executions, while tasks run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Map, json};
use stint::api::{ExecutionFilter, ExecutionState, ListRequest};
use stint::{Client, Submission};

use super::Figures;
use super::queue::{self, Emptier};
use crate::commands::bench::Args;
use crate::commands::bench::check::Ids;
use crate::commands::bench::load;
use crate::commands::bench::meter::{Latencies, Usage, round};
use crate::commands::bench::target::Target;
use crate::store::DurabilityArg;

/// Executions on each side, unless the command line says.
const MANY: usize = 1_000_000;

/// Tasks finished in one go while the store is filled.
const PORTION: usize = 200_000;

/// Tasks a second that run while lists are measured, submitted in batches of so many.
const RATE: u64 = 5_000;
const BATCH: usize = 50;

/// What the archived ones are, and what runs meanwhile.
const KIND: &str = "archived";
const RUNNING: &str = "running";

/// What is asked for; the first are those that an index leads to.
fn cases() -> Vec<(&'static str, ExecutionFilter)> {
    let state = |state| ExecutionFilter { state: Some(state), ..ExecutionFilter::default() };
    let ready = state(ExecutionState::Ready);
    let completed = state(ExecutionState::Completed);
    let named = |lane: Option<&str>, kind: Option<&str>, of: &ExecutionFilter| ExecutionFilter {
        lane: lane.map(str::to_owned),
        kind: kind.map(str::to_owned),
        ..of.clone()
    };
    let all = ExecutionFilter::default();
    let tag = |value: &str| [("batch".to_owned(), value.to_owned())].into();
    vec![
        ("everything", all.clone()),
        ("state_ready", ready.clone()),
        ("state_completed", completed.clone()),
        ("lane_live", named(Some("lane-3"), None, &all)),
        ("kind_live", named(None, Some("kind-5"), &all)),
        ("kind_archived", named(None, Some(KIND), &completed)),
        ("one_tag", ExecutionFilter { tags: tag("7"), ..all.clone() }),
        ("lane_and_kind_and_state", named(Some("lane-3"), Some("kind-3"), &ready)),
        ("tag_and_state", ExecutionFilter { tags: tag("7"), ..completed }),
        ("state_failed_of_none", state(ExecutionState::Failed)),
        ("error_type_of_none", ExecutionFilter { error_type: Some("Broken".to_owned()), ..all }),
    ]
}

pub(super) async fn find(args: Args) -> Figures {
    let live = args.live.unwrap_or(MANY);
    let archived = args.finished.min(MANY);
    // What is measured is finding: the store is filled without waiting for the disk.
    let filling = Args { durability: DurabilityArg::Os, ..args.clone() };
    let target = Target::in_process(&filling, args.store).await?;
    fill(&target.client()?, live, archived).await?;
    let (dir, _) = target.end().await?;
    let target = Target::server_on(&args, dir, args.store).await?;
    let client = target.client()?;
    client.ready().await?;

    let since = Instant::now();
    client.executions(ListRequest::default()).await?;
    let first = since.elapsed();

    let stop = Arc::new(AtomicBool::new(false));
    let emptier = Emptier::start(&target.client()?, RUNNING, 256)?;
    let ids = Arc::new(Ids::new()?);
    let load = tokio::spawn(submit_steadily(target.client()?, stop.clone(), ids.clone()));
    let usage = Usage::start(target.server_pid())?;
    let each = args.lasting(60) / (2 * u32::try_from(cases().len())?);
    let mut figures = Map::new();
    let asked = AtomicU64::new(0);
    for (name, filter) in cases() {
        let pages = measure(&client, &filter, Ask::Page, each, &asked).await?;
        let counts = measure(&client, &filter, Ask::Count, each, &asked).await?;
        figures.insert(name.to_owned(), json!({"page": pages.figures(), "count": counts.figures()}));
    }
    let used = usage.stop()?;
    stop.store(true, Ordering::Relaxed);
    load.await??;
    let runs = emptier.finish(ids.len()).await?;
    let ids = Arc::into_inner(ids).context("a submitter is still running")?;
    let checks = ids.verify(&client, Some(args.verify.unwrap_or(10_000)), Some(runs)).await?;
    target.end().await?;
    figures.insert("live".to_owned(), live.into());
    figures.insert("archived".to_owned(), archived.into());
    figures.insert("first_list_ms".to_owned(), round(first.as_secs_f64() * 1_000.0).into());
    figures.insert("tasks_per_s_meanwhile".to_owned(), used.per_second(runs).into());
    figures.insert("lists_and_counts".to_owned(), asked.into_inner().into());
    figures.insert("usage".to_owned(), used.figures(runs));
    figures.insert("checks".to_owned(), checks);
    Ok(figures)
}

/// Archived ones of one kind and a tag of ten values; live ones in ten lanes and of ten kinds.
async fn fill(client: &Client, live: usize, archived: usize) -> Result<()> {
    let number = AtomicU64::new(0);
    let tagged = |submission: Submission| {
        let n = number.fetch_add(1, Ordering::Relaxed) % 10;
        load::padded(submission.tag("batch", n.to_string()), 100)
    };
    let mut left = archived;
    while left > 0 {
        let portion = left.min(PORTION);
        let ids = Ids::new()?;
        queue::fill_and_note(client, portion, || tagged(Submission::new(KIND)), &ids).await?;
        Emptier::start(client, KIND, 1_000)?.finish(ids.len()).await?;
        left -= portion;
        eprintln!("{} of {archived} archived", archived - left);
    }
    let lane = AtomicU64::new(0);
    let task = || {
        let n = lane.fetch_add(1, Ordering::Relaxed) % 10;
        tagged(Submission::new(format!("kind-{n}")).lane(format!("lane-{n}")))
    };
    queue::fill_and_note(client, live, task, &Ids::new()?).await
}

/// Submits so many tasks a second until told to stop.
async fn submit_steadily(client: Client, stop: Arc<AtomicBool>, ids: Arc<Ids>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 * BATCH as u64 / RATE));
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        queue::fill_and_note(&client, BATCH, || load::padded(Submission::new(RUNNING), 100), &ids).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Ask {
    Page,
    Count,
}

/// Asks again and again for so long.
async fn measure(
    client: &Client,
    filter: &ExecutionFilter,
    ask: Ask,
    lasting: Duration,
    asked: &AtomicU64,
) -> Result<Latencies> {
    let latencies = Latencies::new()?;
    let began = Instant::now();
    while began.elapsed() < lasting {
        let since = Instant::now();
        match ask {
            Ask::Page => {
                let request = ListRequest { filter: filter.clone(), ..ListRequest::default() };
                let page = client.executions(request).await?;
                anyhow::ensure!(page.executions.len() <= 100, "a page of {}", page.executions.len());
            }
            Ask::Count => _ = client.count(filter.clone()).await?,
        }
        latencies.record(since.elapsed());
        asked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(latencies)
}
