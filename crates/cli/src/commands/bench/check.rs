//! Whether each task was completed exactly once, by the server's own word.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use stint::Client;
use stint::api::{AttemptOutcome, ExecutionState};

/// Look-ups under way at the same time.
const AT_ONCE: usize = 128;

/// Ids of everything submitted, on disk, because millions of them would show up as memory of the row.
#[derive(Debug)]
pub(super) struct Ids(Mutex<(BufWriter<File>, u64)>);

impl Ids {
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile().context("no temporary file")?;
        Ok(Self(Mutex::new((BufWriter::new(file), 0))))
    }

    pub(super) fn add(&self, id: &str) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1 += 1;
        writeln!(inner.0, "{id}").context("cannot note an id")
    }

    pub(super) fn len(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn read(&self) -> Result<BufReader<File>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.flush()?;
        let mut file = inner.0.get_ref().try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file))
    }

    /// Looks up every execution, or `most` of them evenly spread, and counts those that did not complete exactly
    /// once. `runs` is how often handlers ran, where that is known.
    pub(super) async fn verify(
        &self,
        client: &Client,
        most: Option<usize>,
        runs: Option<u64>,
    ) -> Result<Value> {
        let total = self.len();
        let every = match most {
            Some(most) => (total / (most.max(1) as u64)).max(1),
            None => 1,
        };
        let chosen = self.read()?.lines().enumerate().filter(|(at, _)| (*at as u64).is_multiple_of(every));
        let (checked, wrong) = stream::iter(chosen)
            .map(|(_, id)| async move {
                let id = id?;
                let execution = client.execution(&id).await?;
                let completed = execution
                    .attempts
                    .iter()
                    .filter(|a| a.outcome == Some(AttemptOutcome::Completed))
                    .count();
                let is_right = execution.state == ExecutionState::Completed && completed == 1;
                if !is_right {
                    eprintln!("{id} is {} with {completed} completed attempts", execution.state);
                }
                anyhow::Ok(is_right)
            })
            .buffer_unordered(AT_ONCE)
            .try_fold((0_u64, 0_u64), async |(checked, wrong), is_right| {
                Ok((checked + 1, wrong + u64::from(!is_right)))
            })
            .await?;
        let runs_fit = runs.is_none_or(|runs| runs == total);
        Ok(json!({
            "ok": wrong == 0 && runs_fit,
            "tasks": total,
            "looked_up": checked,
            "not_completed_once": wrong,
            "handler_runs": runs,
        }))
    }
}
