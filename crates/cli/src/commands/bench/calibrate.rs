//! What the disk and the raw store can do, so that a row's figures can be read against it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use stint_store::raw::{self, RawShape};
use stint_store::recording::Recording;
use stint_store::{Counters, Store, embedded};

use super::meter::round;
use super::valkey::Valkey;
use super::{Args, Backend};
use crate::store::StoreUrl;

/// How long each calibration lasts.
const LASTING: Duration = Duration::from_secs(3);

/// Bytes of a key in the raw batches.
const KEY_BYTES: usize = 24;

/// Forces small appends to disk in `dir`.
pub(super) fn disk(dir: &Path, counted: &Counters) -> Result<Value> {
    let bytes = average(counted.bytes, counted.syncs.max(1)).max(1);
    let per_second = embedded::calibrate(dir, bytes, LASTING).context("cannot calibrate the disk")?;
    Ok(json!({"fsyncs_per_s": round(per_second), "bytes_per_fsync": bytes}))
}

/// Commits batches of the average shape that a row committed, as fast as the raw store takes them, and says how
/// many of the row's tasks that would have been.
pub(super) async fn raw_store(
    args: &Args,
    backend: Backend,
    dir: &Path,
    counted: &Counters,
    partitions: usize,
    tasks: u64,
) -> Result<Value> {
    let writes = average(counted.writes, counted.commits).max(1);
    let value_bytes = (average(counted.bytes, counted.commits) / writes).saturating_sub(KEY_BYTES).max(1);
    let shape = RawShape {
        partitions: u8::try_from(partitions.clamp(1, 64)).unwrap_or(64),
        writes,
        deletes: writes / 5,
        key_bytes: KEY_BYTES,
        value_bytes,
    };
    let (store, _server) = fresh(args, backend, dir).await?;
    let result = raw::run(store.clone(), shape, LASTING).await?;
    store.close().await?;
    let tasks_per_commit = tasks as f64 / (counted.commits.max(1) as f64);
    let commits = result.counters.commits;
    Ok(json!({
        "partitions": shape.partitions,
        "writes_per_batch": shape.writes,
        "value_bytes": shape.value_bytes,
        "commits_per_s": round(result.per_second(commits)),
        "as_tasks_per_s": round(result.per_second(commits) * tasks_per_commit),
    }))
}

/// Commits the row's own first batches again, byte for byte, on a fresh store that has nothing else to do.
pub(super) async fn replay(
    args: &Args,
    backend: Backend,
    dir: &Path,
    recording: &Recording,
    counted: &Counters,
    tasks: u64,
) -> Result<Value> {
    let (store, _server) = fresh(args, backend, dir).await?;
    let replayed = recording.replay(&store).await?;
    store.close().await?;
    let commits_per_s = replayed.commits as f64 / replayed.elapsed.as_secs_f64();
    let tasks_per_commit = tasks as f64 / (counted.commits.max(1) as f64);
    Ok(json!({
        "replayed_commits": replayed.commits,
        "partitions": replayed.partitions,
        "commits_per_s": round(commits_per_s),
        "as_tasks_per_s": round(commits_per_s * tasks_per_commit),
    }))
}

/// Another store of the row's kind, and the server that it may need.
async fn fresh(args: &Args, backend: Backend, dir: &Path) -> Result<(Arc<dyn Store>, Option<Valkey>)> {
    let (url, server) = match backend {
        Backend::Embedded => (StoreUrl::Embedded(dir.join("raw")), None),
        Backend::Valkey => {
            let server = Valkey::start().await?;
            (StoreUrl::Valkey(server.url()), Some(server))
        }
    };
    Ok((url.open(&args.store_args()).await?, server))
}

/// What the row's store did.
pub(super) fn store_figures(counted: &Counters, tasks: u64) -> Value {
    let per_task = |value: u64| round(value as f64 / (tasks.max(1) as f64));
    json!({
        "commits": counted.commits,
        "syncs": counted.syncs,
        "writes_per_task": per_task(counted.writes),
        "bytes_per_task": per_task(counted.bytes),
        "tasks_per_commit": round(tasks as f64 / (counted.commits.max(1) as f64)),
        "longest_commit_ms": counted.longest_commit_us as f64 / 1_000.0,
    })
}

fn average(sum: u64, count: u64) -> usize {
    usize::try_from(sum / count.max(1)).unwrap_or(usize::MAX)
}
