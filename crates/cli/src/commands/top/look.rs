//! One look at everything there is to see.

use anyhow::Result;
use serde::Serialize;
use stint::Client;
use stint::api::{ExecutionFilter, ExecutionState, ExecutionSummary, Instant, Lane, ListRequest, WorkerInfo};

use crate::clock;

/// Rates are over this long.
const WINDOW_MS: i64 = 10_000;

/// Failures are shown for this long.
const FAILURES_MS: i64 = 15 * 60 * 1_000;

/// Failures shown.
const FAILURES: u32 = 8;

/// What was seen.
#[derive(Debug, Serialize)]
pub(super) struct Look {
    /// When.
    pub(super) at: Instant,
    /// Executions completed a second, over the last ten.
    pub(super) completed_per_s: f64,
    /// Executions that failed, likewise.
    pub(super) failed_per_s: f64,
    /// Lanes with settings or open executions.
    pub(super) lanes: Vec<Lane>,
    /// Workers seen lately.
    pub(super) workers: Vec<WorkerInfo>,
    /// The latest failures.
    pub(super) failures: Vec<ExecutionSummary>,
}

impl Look {
    /// Asks the server.
    pub(super) async fn at(client: &Client) -> Result<Self> {
        let at = clock::now();
        let ended = |state| {
            let since = Some(Instant::from_millis(at.millis() - WINDOW_MS));
            client.count(ExecutionFilter { state: Some(state), since, ..ExecutionFilter::default() })
        };
        let failures = ListRequest {
            filter: ExecutionFilter {
                state: Some(ExecutionState::Failed),
                since: Some(Instant::from_millis(at.millis() - FAILURES_MS)),
                ..ExecutionFilter::default()
            },
            limit: Some(FAILURES),
            ..ListRequest::default()
        };
        let (lanes, workers, completed, failed, failures) = tokio::try_join!(
            client.lanes().all(),
            client.workers(),
            ended(ExecutionState::Completed),
            ended(ExecutionState::Failed),
            client.executions(failures),
        )?;
        let per_second = |count: u64| count as f64 * 1_000.0 / WINDOW_MS as f64;
        Ok(Self {
            at,
            completed_per_s: per_second(completed.count),
            failed_per_s: per_second(failed.count),
            lanes,
            workers,
            failures: failures.executions,
        })
    }

    /// Executions that a worker could take.
    pub(super) fn ready(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.ready).sum()
    }

    /// Executions that a worker holds.
    pub(super) fn running(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.running).sum()
    }

    /// Executions that are scheduled, blocked or suspended.
    pub(super) fn waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }
}
