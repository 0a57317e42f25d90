//! Submit, lease, complete: in process and over HTTP, with and without steps.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Figures;
use crate::commands::bench::load::{self, Shape};
use crate::commands::bench::meter::round;
use crate::commands::bench::target::Target;
use crate::commands::bench::{Args, Backend, calibrate};

/// Tasks queued on Valkey to see what one of them takes.
const QUEUED: usize = 100_000;

/// Partitions that 256 commands in flight spread over: one for each 32.
const PER_PARTITION: usize = 32;

pub(super) async fn in_process_embedded(args: Args) -> Figures {
    let shape = shape(&args, 256, 1, 0, 30);
    measure(&args, Target::recorded(&args, Backend::Embedded).await?, shape, Backend::Embedded).await
}

pub(super) async fn in_process_valkey(args: Args) -> Figures {
    let shape = shape(&args, 256, 1, 0, 30);
    let queued = valkey_memory(&args).await?;
    let target = Target::recorded(&args, Backend::Valkey).await?;
    let mut figures = measure(&args, target, shape, Backend::Valkey).await?;
    figures.insert("valkey_bytes_per_queued".to_owned(), queued.into());
    Ok(figures)
}

pub(super) async fn with_budgets(args: Args) -> Figures {
    let shape = Shape { spends: true, ..shape(&args, 256, 1, 0, 10) };
    measure(&args, Target::recorded(&args, Backend::Embedded).await?, shape, Backend::Embedded).await
}

pub(super) async fn http_workers(args: Args) -> Figures {
    let shape = Shape { workers: 4, slots: 256, ..shape(&args, 1_600, 100, 0, 15) };
    let target = Target::server(&args, args.store).await?;
    measure(&args, target, shape, args.store).await
}

pub(super) async fn http_steps(args: Args) -> Figures {
    let shape = Shape { workers: 4, slots: 64, ..shape(&args, 64, 1, 3, 15) };
    let target = Target::server(&args, args.store).await?;
    measure(&args, target, shape, args.store).await
}

fn shape(args: &Args, in_flight: usize, batch: usize, steps: usize, seconds: u64) -> Shape {
    let in_flight = args.in_flight(in_flight);
    Shape {
        in_flight,
        batch: batch.min(in_flight),
        input_bytes: 100,
        steps,
        workers: 2,
        slots: in_flight,
        spends: false,
        lasting: args.lasting(seconds),
    }
}

async fn measure(args: &Args, target: Target, shape: Shape, backend: Backend) -> Figures {
    let valkey_before = valkey_cpu(&target).await?;
    let loaded = load::run(&target, shape).await?;
    // Before the look-ups, which cost the store too.
    let valkey_after = valkey_cpu(&target).await?;
    let counted = target.counters();
    let mut figures = loaded.figures(&target.client()?, shape, args.verify).await?;
    if let (Some(before), Some(after)) = (valkey_before, valkey_after) {
        let us = (after - before).as_secs_f64() * 1e6 / loaded.tasks.max(1) as f64;
        figures.insert("valkey_cpu_us_per_task".to_owned(), round(us).into());
    }
    let recording = target.recording.clone();
    let (dir, at_end) = target.end().await?;
    let counted = counted.unwrap_or(at_end);
    figures.insert("store".to_owned(), calibrate::store_figures(&counted, loaded.tasks));
    let partitions = shape.in_flight / shape.batch / PER_PARTITION;
    let raw = match recording {
        Some(recording) => {
            calibrate::replay(args, backend, dir.path(), &recording, &counted, loaded.tasks).await?
        }
        None => calibrate::raw_store(args, backend, dir.path(), &counted, partitions, loaded.tasks).await?,
    };
    let raw_rate = raw.get("as_tasks_per_s").and_then(Value::as_f64).unwrap_or(0.0);
    figures.insert("share_of_raw_store".to_owned(), loaded.share_of(raw_rate).into());
    let mut calibration = json!({"raw_store": raw});
    if backend == Backend::Embedded
        && let Some(calibration) = calibration.as_object_mut()
    {
        calibration.insert("disk".to_owned(), calibrate::disk(dir.path(), &counted)?);
    }
    figures.insert("calibration".to_owned(), calibration);
    Ok(figures)
}

async fn valkey_cpu(target: &Target) -> Result<Option<Duration>> {
    match &target.valkey {
        Some(server) => server.cpu().await.map(Some),
        None => Ok(None),
    }
}

/// Bytes of Valkey's memory that one queued task with 64 bytes of input takes.
async fn valkey_memory(args: &Args) -> Result<f64> {
    let target = Target::in_process(args, Backend::Valkey).await?;
    let client = target.client()?;
    // The first tasks make what is there once.
    super::queue::fill(&client, 1_000, 64, load::KIND).await?;
    let server = target.valkey.as_ref().context("there is no Valkey")?;
    let before = server.info("memory", "used_memory").await?;
    super::queue::fill(&client, QUEUED, 64, load::KIND).await?;
    let per_task = (server.info("memory", "used_memory").await? - before) / QUEUED as f64;
    target.end().await?;
    Ok(round(per_task))
}
