//! Filling and emptying queues, for rows that need one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use stint::api::Payload;
use stint::{Client, Failure, Submission, Worker};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::commands::bench::check::Ids;
use crate::commands::bench::load;

/// Executions in one request.
const BATCH: usize = 1_000;

/// Requests at the same time.
const AT_ONCE: usize = 4;

/// A worker that completes whatever it gets.
pub(super) struct Emptier {
    pub(super) runs: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), stint::Error>>,
}

/// Submits so many tasks in batches, and notes their ids.
pub(super) async fn fill_and_note(
    client: &Client,
    count: usize,
    task: impl Fn() -> Submission,
    ids: &Ids,
) -> Result<()> {
    let task = &task;
    let sizes = (0..count.div_ceil(BATCH)).map(|batch| BATCH.min(count - batch * BATCH));
    stream::iter(sizes)
        .map(|size| async move { anyhow::Ok(client.submit_batch((0..size).map(|_| task())).await?) })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |submitted| {
            for one in submitted {
                ids.add(&one?.id)?;
            }
            Ok(())
        })
        .await
}

/// Submits so many tasks of a kind with so many bytes of input.
pub(super) async fn fill(client: &Client, count: usize, bytes: usize, kind: &str) -> Result<Ids> {
    let ids = Ids::new()?;
    fill_and_note(client, count, || load::padded(Submission::new(kind), bytes), &ids).await?;
    Ok(ids)
}

impl Emptier {
    /// Starts completing tasks of this kind.
    pub(super) fn start(client: &Client, kind: &str, slots: usize) -> Result<Self> {
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let worker = Worker::builder(client)
            .slots(slots)
            .raw_handler(kind, move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                async { Ok::<_, Failure>(Payload::null()) }
            })
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(worker.run(async move {
            // Also ready if the sender is gone.
            let _ = stopped.await;
        }));
        Ok(Self { runs, stop, run })
    }

    /// Waits until handlers have run so often, then lets the worker report and end.
    pub(super) async fn finish(self, runs: u64) -> Result<u64> {
        let mut seen = (0, std::time::Instant::now());
        loop {
            let now = self.runs.load(Ordering::Relaxed);
            if now >= runs {
                break;
            }
            if now > seen.0 {
                seen = (now, std::time::Instant::now());
            }
            if seen.1.elapsed() > Duration::from_secs(60) {
                anyhow::bail!("{now} of {runs} tasks have run, and none for a minute");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(self.stop);
        self.run.await??;
        Ok(self.runs.load(Ordering::Relaxed))
    }
}
