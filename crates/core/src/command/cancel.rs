//! Cancelling: at once what no worker holds; by request and grace what one does.

use super::context::Context;
use super::ending::{Ended, end};
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{AttemptOutcome, ErrorInfo, Move, State, Stop, StopReason};
use crate::partition::Partition;

/// Stop an execution.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// In the words of whoever asks.
    pub reason: Option<String>,
    /// How long a worker has to follow before its lease is taken.
    pub grace_ms: Millis,
}

impl Cancel {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    /// Cancelling twice is fine, and may shorten the grace, never prolong it; cancelling what has ended otherwise says so.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let Some(mut execution) = context.open(&self.namespace, self.id) else {
            let ended = context.archived(Some(&self.namespace), self.id)?.state();
            return if ended == State::Cancelled {
                Ok(Outcome::Acted(self.id, ended))
            } else {
                Err(Refusal::Finished(ended))
            };
        };
        if execution.state() != State::Running {
            let message = self.reason.clone().unwrap_or_else(|| "cancelled before it was started".into());
            let error = Some(ErrorInfo::own("cancelled", message));
            let ended = Ended { outcome: AttemptOutcome::Cancelled, error, body: None };
            end(context, execution, Move::Cancel, ended, None)?;
            return Ok(Outcome::Acted(self.id, State::Cancelled));
        }
        let until = context.now().saturating_add(self.grace_ms.max(0));
        if execution.stop.as_deref().is_none_or(|stop| stop.until > until) {
            let message = self.reason.clone().or(execution.stop.and_then(|stop| stop.message));
            execution.stop = Some(Box::new(Stop { reason: StopReason::Cancel, message, until }));
            context.put(execution, EventKind::CancelRequested);
        }
        Ok(Outcome::Acted(self.id, State::Running))
    }
}
