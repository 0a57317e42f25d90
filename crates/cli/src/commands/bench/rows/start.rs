//! Starting on a large store.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::Figures;
use super::queue::{self, Emptier};
use crate::commands::bench::load::KIND;
use crate::commands::bench::meter::round;
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, Backend};
use crate::proc;
use crate::store::DurabilityArg;

/// Tasks finished in one go while the store is filled.
const PORTION: usize = 200_000;

pub(super) async fn large(args: Args) -> Figures {
    let live = args.live.unwrap_or(1_000_000);
    // The store is filled without waiting for the disk; what is measured is the start.
    let filling = Args { durability: DurabilityArg::Os, ..args.clone() };
    let target = Target::in_process(&filling, Backend::Embedded).await?;
    let client = target.client()?;
    let mut left = args.finished;
    while left > 0 {
        let portion = left.min(PORTION);
        let ids = queue::fill(&client, portion, 100, KIND).await?;
        Emptier::start(&client, KIND, 1_000)?.finish(ids.len()).await?;
        left -= portion;
        eprintln!("{} of {} finished", args.finished - left, args.finished);
    }
    let ids = queue::fill(&client, live, 100, KIND).await?;
    drop(client);
    let (dir, _) = target.end().await?;
    let since = Instant::now();
    let target = Target::server_on(&args, dir, Backend::Embedded).await?;
    let listening = since.elapsed();
    let client = target.client()?;
    client.ready().await?;
    let ready = since.elapsed();
    let rss = target.server_pid().map(proc::read).transpose()?.unwrap_or_default().rss;
    let runs = Emptier::start(&client, KIND, 1_000)?.finish(ids.len()).await?;
    let checks = ids.verify(&client, args.verify, Some(runs)).await?;
    target.end().await?;
    let figures = json!({
        "live": live,
        "finished": args.finished,
        "listening_after_s": round(listening.as_secs_f64()),
        "ready_after_s": round(ready.as_secs_f64()),
        "rss_mib": round(rss as f64 / f64::from(1 << 20)),
        "checks": checks,
    });
    Ok(match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    })
}
