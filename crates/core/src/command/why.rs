//! Why: what an execution waits for, and when that will change.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{Execution, LaneMode, State};
use crate::partition::Partition;

/// [`Reason::Worker`] counts no further: nobody needs the exact length of a long queue, and everybody waits meanwhile.
pub const AHEAD_MAX: usize = 10_000;

/// Explain one execution.
#[derive(Clone, Debug)]
pub struct Why {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
}

/// One thing it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its time, because it was submitted so.
    Delay {
        /// When it is due.
        until: Millis,
    },
    /// The wait before the next attempt.
    Backoff {
        /// When it is due.
        until: Millis,
        /// Failures so far.
        failures: u32,
    },
    /// Its lane is paused.
    LanePaused,
    /// It is paused itself.
    Paused,
    /// A worker with a free slot: this many are before it in this partition.
    Worker {
        /// Ready executions of its group that come first here; counted up to [`AHEAD_MAX`].
        ahead: usize,
    },
    /// Its worker is at it.
    Running {
        /// The worker's name.
        worker: String,
        /// When the lease expires unless it is renewed.
        lease_expires: Millis,
    },
    /// Its worker was asked to stop.
    Stopping {
        /// When the lease is taken.
        until: Millis,
    },
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhyAnswer {
    /// Its state as the API names it.
    pub state: &'static str,
    /// What it waits for, the most telling first; empty if it has ended.
    pub reasons: Vec<Reason>,
    /// When the clock will change something at the latest.
    pub until: Option<Millis>,
    /// The execution.
    pub execution: Execution,
}

impl Why {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let execution = match context.open(&self.namespace, self.id) {
            Some(open) => open,
            None => context.archived(Some(&self.namespace), self.id)?,
        };
        let able_since = context.partition.able_since();
        let lane_mode = context.partition.lane(&execution.group.namespace, &execution.group.lane).mode;
        let mut reasons = Vec::new();
        let waits = matches!(execution.state(), State::Scheduled | State::Ready);
        if execution.paused && waits {
            reasons.push(Reason::Paused);
        }
        match execution.state() {
            State::Scheduled if execution.failures > 0 => {
                reasons.push(Reason::Backoff { until: execution.due_at, failures: execution.failures });
            }
            State::Scheduled => reasons.push(Reason::Delay { until: execution.due_at }),
            State::Ready => {
                if lane_mode == LaneMode::Paused {
                    reasons.push(Reason::LanePaused);
                }
                let ahead = context.partition.ahead_of(&execution, AHEAD_MAX);
                reasons.push(Reason::Worker { ahead });
            }
            State::Running => {
                if let Some(stop) = execution.stop.as_deref() {
                    reasons.push(Reason::Stopping { until: stop.until });
                }
                if let (Some(lease), Some(lease_expires)) =
                    (execution.lease.as_deref(), execution.lease_expires(able_since))
                {
                    reasons.push(Reason::Running { worker: lease.worker.name.to_string(), lease_expires });
                }
            }
            _ => {}
        }
        let (state, _) = state_of(&execution, lane_mode);
        let until = execution.next_due(able_since);
        Ok(Outcome::Why(Box::new(WhyAnswer { state, reasons, until, execution })))
    }
}

/// An execution's state as the API names it, and what blocks it.
pub(super) fn state_of(execution: &Execution, lane_mode: LaneMode) -> (&'static str, Option<&'static str>) {
    match execution.state() {
        State::Ready if execution.paused => ("blocked", Some("paused")),
        State::Ready if lane_mode == LaneMode::Paused => ("blocked", Some("lane_paused")),
        state => (state.name(), None),
    }
}
