//! Why: what an execution waits for, and when that will change.

use super::context::Context;
use super::{Outcome, Refusal, permit};
use crate::Millis;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{Ask, Execution, LaneMode, PermitKey, Shortfall, State};
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
        /// Why, in words.
        message: Option<String>,
    },
    /// What the clock owes it failed too often, and is not tried again before the next start.
    TimerQuarantined,
    /// Its budget has not enough.
    Budget {
        /// The budget that it names.
        path: String,
        /// What was missing when it was told; the budget may be a level above.
        shortfall: Shortfall,
        /// Its place can be asked for by this.
        key: PermitKey,
        /// What it has asked for, or will.
        ask: Box<Ask>,
        /// It has not asked itself: this one of the same budgets is before it.
        behind: Option<ExecutionId>,
        /// Since when.
        since: Option<Millis>,
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
        if context.is_quarantined(execution.id) {
            reasons.push(Reason::TimerQuarantined);
        }
        let waits = matches!(execution.state(), State::Scheduled | State::Ready | State::Suspended);
        if execution.paused && waits {
            reasons.push(Reason::Paused);
        }
        match execution.state() {
            State::Scheduled if execution.failures > 0 => {
                reasons.push(Reason::Backoff { until: execution.due_at, failures: execution.failures });
            }
            State::Scheduled => reasons.push(Reason::Delay { until: execution.due_at }),
            State::Ready | State::Suspended => {
                if lane_mode == LaneMode::Paused {
                    reasons.push(Reason::LanePaused);
                }
                match budget(context, &execution) {
                    Some(reason) => reasons.push(reason),
                    None => {
                        let ahead = context.partition.ahead_of(&execution, AHEAD_MAX);
                        reasons.push(Reason::Worker { ahead });
                    }
                }
            }
            State::Running => {
                if let Some(stop) = execution.stop.as_deref() {
                    reasons.push(Reason::Stopping { until: stop.until, message: stop.message.clone() });
                }
                if let (Some(lease), Some(lease_expires)) =
                    (execution.lease.as_deref(), execution.lease_expires(able_since))
                {
                    reasons.push(Reason::Running { worker: lease.worker.name.to_string(), lease_expires });
                }
            }
            _ => {}
        }
        if execution.state() == State::Scheduled && lane_mode == LaneMode::Paused {
            reasons.push(Reason::LanePaused);
        }
        let (state, _) = state_of(&execution, lane_mode);
        let until = execution.next_due(able_since);
        Ok(Outcome::Why(Box::new(WhyAnswer { state, reasons, until, execution })))
    }
}

/// The budget that keeps an execution from starting, if one does: it waits in a queue, or behind one of the same budgets
/// that does.
fn budget(context: &Context<'_>, execution: &Execution) -> Option<Reason> {
    // Of what goes first in its line, which may be itself, and names the same budgets.
    let of = |first: &Execution, behind: Option<ExecutionId>| {
        let spending = first.spending.as_deref()?;
        let (n, shortfall) = spending.queued()?;
        let ask = if behind.is_none() { spending.permits.get(n)?.as_ref()?.ask } else { 0 };
        let key = PermitKey { execution: execution.id, ask, n: n as u8 };
        let path = execution.policy.budgets.get(n)?.path.clone();
        let since = spending.blocked_since.filter(|_| behind.is_none());
        let ask = Box::new(permit::question(execution, n, true)?);
        Some(Reason::Budget { path, shortfall: shortfall.clone(), key, ask, behind, since })
    };
    if let Some(reason) = of(execution, None) {
        return Some(reason);
    }
    if execution.policy.budgets.is_empty() || execution.is_pending() {
        return None;
    }
    let first = context.partition.waits_behind(execution)?;
    of(context.partition.execution(first)?, Some(first))
}

/// An execution's state as the API names it, and what blocks it.
pub(crate) fn state_of(execution: &Execution, lane_mode: LaneMode) -> (&'static str, Option<&'static str>) {
    match execution.state() {
        State::Ready if execution.paused => ("blocked", Some("paused")),
        State::Ready if lane_mode == LaneMode::Paused => ("blocked", Some("lane_paused")),
        State::Ready if execution.waits_for_budget() => ("blocked", Some("budget")),
        state => (state.name(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, requires};
    use crate::command::{Action, LaneChange, SetLane};

    #[test]
    fn each_wait_is_named_and_timed() {
        let mut bed = Bed::at(SetLane::home("default", "default"));
        let id = bed.submit(|s| s.delay_ms = Some(1_000));
        let start = bed.now;
        let said = |bed: &mut Bed| {
            let why = bed.why(id);
            (why.state, why.reasons, why.until.map(|until| until - start))
        };
        let delay = Reason::Delay { until: start + 1_000 };
        assert_eq!(said(&mut bed), ("scheduled", vec![delay], Some(1_000)));

        bed.submit(|_| ());
        bed.submit(|s| s.requires = requires(&["gpu"]));
        bed.pass(1_000);
        assert_eq!(said(&mut bed), ("ready", vec![Reason::Worker { ahead: 1 }], None));

        bed.set_lane("default", LaneChange::Mode(LaneMode::Paused));
        let waits = vec![Reason::LanePaused, Reason::Worker { ahead: 1 }];
        assert_eq!(said(&mut bed), ("blocked", waits, None));
        bed.act(id, Action::Pause).unwrap();
        bed.set_lane("default", LaneChange::Mode(LaneMode::Open));
        let waits = vec![Reason::Paused, Reason::Worker { ahead: 1 }];
        assert_eq!(said(&mut bed), ("blocked", waits, None));
        bed.act(id, Action::Resume).unwrap();

        bed.claim(1);
        let lease = bed.lease();
        let running = Reason::Running { worker: "worker-1".into(), lease_expires: start + 31_000 };
        assert_eq!(said(&mut bed), ("running", vec![running.clone()], Some(31_000)));
        bed.cancel(id, 5_000).unwrap();
        let stopping = Reason::Stopping { until: start + 6_000, message: Some("not needed".into()) };
        assert_eq!(said(&mut bed), ("running", vec![stopping, running], Some(6_000)));
        bed.complete(lease, "1").unwrap();
        assert_eq!(said(&mut bed), ("completed", vec![], None));
    }

    #[test]
    fn what_is_due_later_in_a_paused_lane_waits_for_both() {
        let mut bed = Bed::at(SetLane::home("default", "default"));
        let id = bed.submit(|s| s.delay_ms = Some(1_000));
        bed.set_lane("default", LaneChange::Mode(LaneMode::Paused));
        let why = bed.why(id);
        assert_eq!(why.state, "scheduled");
        assert_eq!(why.reasons, [Reason::Delay { until: bed.now + 1_000 }, Reason::LanePaused]);
    }

    #[test]
    fn a_timer_that_is_not_tried_any_more_is_named_first() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.delay_ms = Some(1_000));
        bed.quarantined = Some(id);
        assert_eq!(bed.why(id).reasons[0], Reason::TimerQuarantined);
    }

    #[test]
    fn a_retry_says_how_often_it_failed() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.fail_as(lease, "Broken", None, Some(500)).unwrap();
        let why = bed.why(id);
        assert_eq!(why.reasons, [Reason::Backoff { until: bed.now + 500, failures: 1 }]);
    }

    #[test]
    fn a_pause_no_longer_matters_at_the_end() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        bed.act(id, Action::Pause).unwrap();
        bed.cancel(id, 0).unwrap();
        assert_eq!((bed.why(id).state, bed.why(id).reasons), ("cancelled", vec![]));
    }

    #[test]
    fn nobody_is_not_found_and_neither_is_anothers() {
        let mut bed = Bed::new();
        let ids = [bed.fresh_id(), bed.submit(|s| s.namespace = "theirs".into())];
        for id in ids {
            let why = Why { namespace: "default".into(), id };
            assert_eq!(bed.run(crate::Command::Why(why)), Err(Refusal::NotFound(id)));
        }
    }
}
