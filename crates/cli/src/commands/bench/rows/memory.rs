//! Memory of a queued execution.

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

/// Bytes of input, which are no part of the figure.
const INPUT: usize = 64;

/// The first so many are not counted: with them come buffers and caches of a fixed size.
const FIRST: usize = 200_000;

pub(super) async fn queued(args: Args) -> Figures {
    let live = args.live.unwrap_or(1_000_000);
    let target = Target::server(&args, args.store).await?;
    let client = target.client()?;
    let first = queue::fill(&client, FIRST, INPUT, KIND).await?;
    let before = settled_rss(&target).await?;
    let rest = queue::fill(&client, live, INPUT, KIND).await?;
    let after = settled_rss(&target).await?;
    // Payloads are cold and not in memory, so nothing is taken off for them.
    let per_task = (after as f64 - before as f64) / live as f64;
    let runs = Emptier::start(&client, KIND, 1_000)?.finish(first.len() + rest.len()).await?;
    let mut checks = rest.verify(&client, args.verify, None).await?;
    if let Some(checks) = checks.as_object_mut() {
        checks.insert("handler_runs".to_owned(), runs.into());
    }
    target.end().await?;
    let figures = json!({
        "queued": live,
        "rss_mib": round(after as f64 / f64::from(1 << 20)),
        "bytes_per_queued": round(per_task),
        "checks": checks,
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}

/// Resident memory once it has stopped changing: flushes and compactions go on for a moment.
async fn settled_rss(target: &Target) -> Result<u64> {
    let pid = target.server_pid().context("there is no server")?;
    let mut before = proc::read(pid)?.rss;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = proc::read(pid)?.rss;
        if now.abs_diff(before) < 1 << 20 {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}
