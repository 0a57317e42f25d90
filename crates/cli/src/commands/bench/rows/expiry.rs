//! Many leases that expire at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Map, Value, json};
use stint::api::{LeaseRequest, WorkerRef};
use stint::{Client, Failure, Submission, Worker};
use tokio::sync::oneshot;

use super::Figures;
use super::queue;
use crate::commands::bench::Args;
use crate::commands::bench::check::Ids;
use crate::commands::bench::load;
use crate::commands::bench::meter::{Latencies, round};
use crate::commands::bench::target::Target;

const LEASES: usize = 1_000;

/// Time enough to lease all of them before the first expires.
const TTL: Duration = Duration::from_secs(5);

const KIND: &str = "expiry";

pub(super) async fn storm(args: Args) -> Figures {
    let target = Target::server(&args, args.store).await?;
    let client = target.client()?;
    let ids = Ids::new()?;
    let task = || load::padded(Submission::new(KIND).lease_ttl(TTL), 100);
    queue::fill_and_note(&client, LEASES, task, &ids).await?;
    let sent = Instant::now();
    claim_all(&client).await?;
    let claimed = sent.elapsed();
    // From the last claim's answer on: the first lease can expire at the earliest a TTL after it was sent for.
    let expiry = Instant::now() + TTL;
    let latencies = Arc::new(Latencies::new()?);
    let (all, mut started) = tokio::sync::mpsc::unbounded_channel();
    let measured = Arc::clone(&latencies);
    let worker = Worker::builder(&client)
        .slots(LEASES)
        .handler(KIND, move |_, _: Value| {
            let late = Instant::now().saturating_duration_since(expiry);
            measured.record(late);
            let _ = all.send(late);
            async { Ok::<_, Failure>(()) }
        })
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(worker.run(async move {
        // Also ready if the sender is gone.
        let _ = stopped.await;
    }));
    let mut latest = Duration::ZERO;
    for _ in 0..LEASES {
        match tokio::time::timeout(Duration::from_secs(60), started.recv()).await {
            Ok(Some(late)) => latest = latest.max(late),
            _ => bail!("a lease that expired was not leased again"),
        }
    }
    drop(stop);
    run.await??;
    let checks = ids.verify(&client, args.verify, None).await?;
    target.end().await?;
    let figures = json!({
        "leases": LEASES,
        "claimed_within_s": round(claimed.as_secs_f64()),
        "all_leased_again_after_s": round(latest.as_secs_f64()),
        "leased_again": latencies.figures(),
        "checks": checks,
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}

async fn claim_all(client: &Client) -> anyhow::Result<()> {
    let mut left = LEASES;
    while left > 0 {
        let request = LeaseRequest {
            worker: WorkerRef { name: "forgetful".to_owned(), ..WorkerRef::default() },
            lanes: vec!["default".to_owned()],
            kinds: vec![KIND.to_owned()],
            max: u32::try_from(left)?.min(stint::api::CLAIM_LEASES),
            wait_ms: 1_000,
            namespace: None,
        };
        let leased = client.lease(request).await?.leases.len();
        if leased == 0 {
            bail!("nothing was leased");
        }
        left = left.saturating_sub(leased);
    }
    Ok(())
}
