//! How long a claim takes, by how much is ready and by how much of it the worker can't serve.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Map, Value, json};
use stint::api::{LeaseRequest, Payload, WorkerRef};
use stint::{Client, Submission};

use super::Figures;
use super::queue;
use crate::commands::bench::Args;
use crate::commands::bench::check::Ids;
use crate::commands::bench::load;
use crate::commands::bench::meter::{Latencies, round};
use crate::commands::bench::target::Target;

/// Claims in each case.
const CLAIMS: usize = 1_000;

const KIND: &str = "claim";

pub(super) async fn latency(args: Args) -> Figures {
    let many = args.live.unwrap_or(1_000_000);
    let mut figures = Map::new();
    let mut medians = Vec::new();
    let mut all_ok = true;
    for (name, ready, unservable) in [
        ("ready_1000".to_owned(), 1_000, 0),
        (format!("ready_{many}"), many, 0),
        ("unservable_100000".to_owned(), 1_000, 100_000),
    ] {
        let (latencies, is_ok) = case(&args, ready, unservable).await?;
        medians.push(latencies.quantile_us(0.5));
        all_ok &= is_ok;
        figures.insert(name, latencies.figures());
    }
    let (least, most) = (medians.iter().min().copied(), medians.iter().max().copied());
    let ratio = most.unwrap_or(0) as f64 / least.unwrap_or(1).max(1) as f64;
    figures.insert("slowest_by_fastest_p50".to_owned(), round(ratio).into());
    figures.insert("checks".to_owned(), json!({"ok": all_ok}));
    Ok(figures)
}

/// Fills the queue, then claims and completes one after the other.
async fn case(args: &Args, ready: usize, unservable: usize) -> Result<(Latencies, bool)> {
    let target = Target::server(args, args.store).await?;
    let client = target.client()?;
    let ids = Ids::new()?;
    let odd = || load::padded(Submission::new(KIND).requires("gpu"), 100);
    queue::fill_and_note(&client, unservable, odd, &Ids::new()?).await?;
    queue::fill_and_note(&client, ready, || load::padded(Submission::new(KIND), 100), &ids).await?;
    let latencies = Latencies::new()?;
    let claimed = Ids::new()?;
    for _ in 0..CLAIMS.min(ready) {
        let since = Instant::now();
        let id = claim_and_complete(&client, &latencies, since).await?;
        claimed.add(&id)?;
    }
    let checks = claimed.verify(&client, args.verify, None).await?;
    target.end().await?;
    let is_ok = checks.get("ok") == Some(&Value::Bool(true)) && claimed.len() == CLAIMS.min(ready) as u64;
    Ok((latencies, is_ok))
}

async fn claim_and_complete(client: &Client, latencies: &Latencies, since: Instant) -> Result<String> {
    let request = LeaseRequest {
        worker: WorkerRef { name: "claimer".to_owned(), ..WorkerRef::default() },
        lanes: vec!["default".to_owned()],
        kinds: vec![KIND.to_owned()],
        max: 1,
        wait_ms: 1_000,
        namespace: None,
    };
    let reply = client.lease(request).await?;
    latencies.record(since.elapsed());
    let Some(lease) = reply.leases.into_iter().next() else { anyhow::bail!("nothing was leased") };
    client.complete(&lease.lease, Payload::null()).await?;
    Ok(lease.execution.id)
}
