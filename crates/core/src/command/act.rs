//! Acting on one open execution: pause, resume, revoke, change priority.

use super::context::Context;
use super::ending::{Ended, close_attempt};
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{AttemptOutcome, Execution, Move, State};
use crate::partition::Partition;

/// What to do to an execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Start no attempt of it; one under way goes on.
    Pause,
    /// The opposite.
    Resume,
    /// Take its lease; another attempt follows, and it counts neither as a failure nor as a crash.
    Revoke,
    /// -100 to 100.
    Priority(i8),
}

/// Do something to one execution.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// What to do.
    pub action: Action,
}

impl Act {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let Some(execution) = context.open(&self.namespace, self.id) else {
            return Err(Refusal::Finished(context.archived(Some(&self.namespace), self.id)?.state()));
        };
        let state = match self.action {
            Action::Pause => hold(context, execution, true),
            Action::Resume => hold(context, execution, false),
            Action::Priority(priority) => reprioritise(context, execution, priority),
            Action::Revoke => revoke(context, execution)?,
        };
        Ok(Outcome::Acted(self.id, state))
    }
}

fn hold(context: &mut Context<'_>, mut execution: Execution, paused: bool) -> State {
    let state = execution.state();
    if execution.paused != paused {
        execution.paused = paused;
        context.put(execution, if paused { EventKind::Paused } else { EventKind::Resumed });
    }
    state
}

fn reprioritise(context: &mut Context<'_>, mut execution: Execution, priority: i8) -> State {
    let state = execution.state();
    if execution.priority != priority {
        let settings = context.partition.lane(&execution.group.namespace, &execution.group.lane);
        // Its waiting so far stands; only the priority's share of the order moves.
        let steps = Millis::from(execution.priority) - Millis::from(priority);
        execution.order = execution.order.saturating_add(steps * settings.age_step());
        execution.priority = priority;
        context.put(execution, EventKind::PriorityChanged);
    }
    state
}

fn revoke(context: &mut Context<'_>, mut execution: Execution) -> Result<State, Refusal> {
    if execution.state() != State::Running {
        return Err(Refusal::NotRunning(execution.state()));
    }
    let ended = Ended::own(AttemptOutcome::Revoked, "lease_revoked", "an operator took the lease away");
    if execution.stop.is_some() {
        super::ending::end(context, execution, Move::Cancel, ended, None)?;
        return Ok(State::Cancelled);
    }
    let now = context.now();
    close_attempt(context, &mut execution, ended, now);
    context.step(&mut execution, Move::Again)?;
    let state = execution.state();
    context.put(execution, EventKind::Revoked);
    Ok(state)
}
