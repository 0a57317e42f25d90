//! A server that is killed with much to do.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Figures;
use super::queue::{self, Emptier};
use crate::commands::bench::Args;
use crate::commands::bench::load::KIND;
use crate::commands::bench::meter::round;
use crate::commands::bench::target::Target;

pub(super) async fn recovery(args: Args) -> Figures {
    let live = args.live.unwrap_or(100_000);
    let mut target = Target::server(&args, args.store).await?;
    let ids = queue::fill(&target.client()?, live, 100, KIND).await?;
    target.kill_server().await?;
    // The worker is there all along and finds the server again by itself.
    let client = target.client()?;
    let emptier = Emptier::start(&client, KIND, 256)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let since = Instant::now();
    target.restart_server().await?;
    let listening = since.elapsed();
    while emptier.runs.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first_work = since.elapsed();
    let runs = emptier.finish(ids.len()).await?;
    let drained = since.elapsed();
    let checks = ids.verify(&client, args.verify, Some(runs)).await?;
    target.end().await?;
    let figures = json!({
        "live": live,
        "listening_after_s": round(listening.as_secs_f64()),
        "first_work_done_after_s": round(first_work.as_secs_f64()),
        "all_work_done_after_s": round(drained.as_secs_f64()),
        "checks": checks,
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}
