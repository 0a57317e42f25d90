//! What a list shows of an execution.

use std::sync::Arc;

use super::Position;
use crate::Millis;
use crate::command::state_of;
use crate::ids::ExecutionId;
use crate::model::{ErrorInfo, Execution, Group, LaneMode, Progress, State};

/// An execution, open or ended, without what is only in cold records of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Its id.
    pub id: ExecutionId,
    /// Namespace, lane, kind.
    pub group: Arc<Group>,
    /// Where it stands.
    pub state: State,
    /// Why it is blocked.
    pub blocked_by: Option<&'static str>,
    /// -100 to 100.
    pub priority: i8,
    /// Its tags. They are cold: empty until whoever reads the [`Spec`](crate::model::Spec) puts them here.
    pub tags: Vec<(String, String)>,
    /// Attempts so far.
    pub attempt: u32,
    /// Who runs it, or ran it last before its end.
    pub worker: Option<Arc<str>>,
    /// Attempts that crashed, since submission or replay.
    pub crashes: u32,
    /// When it was submitted.
    pub submitted_at: Millis,
    /// When it is due, while scheduled.
    pub due_at: Option<Millis>,
    /// When the attempt under way, or the one that ended it, started.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Why it did not complete.
    pub error: Option<ErrorInfo>,
    /// Why its worker was asked to stop.
    pub stop: Option<String>,
    /// How far its worker says it is.
    pub progress: Option<Progress>,
}

impl Summary {
    /// Of an open execution in a lane of this mode, or of an ended one, to which the mode means nothing.
    pub fn of(execution: &Execution, lane_mode: LaneMode) -> Self {
        let lease = execution.lease.as_deref();
        let end = execution.end.as_deref();
        let scheduled = execution.state() == State::Scheduled;
        Self {
            id: execution.id,
            group: execution.group.clone(),
            state: execution.state(),
            blocked_by: state_of(execution, lane_mode).1,
            priority: execution.priority,
            tags: Vec::new(),
            attempt: execution.attempt,
            worker: lease.map(|lease| lease.worker.name.clone()),
            crashes: execution.crashes,
            submitted_at: execution.submitted_at,
            due_at: scheduled.then_some(execution.due_at),
            started_at: lease.map(|lease| lease.granted_at),
            ended_at: end.map(|end| end.at),
            error: end.and_then(|end| end.error.clone()),
            stop: execution.stop.as_deref().and_then(|stop| stop.message.clone()),
            progress: lease.and_then(|lease| lease.progress.clone()),
        }
    }

    /// Its place among all of them by submission.
    pub fn by_submission(&self) -> Position {
        (self.submitted_at, self.id)
    }
}
