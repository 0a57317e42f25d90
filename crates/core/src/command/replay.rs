//! Replaying: an ended execution runs again, with its journal up to a chosen step.

use super::context::Context;
use super::ending::{Ended, close_attempt};
use super::submit::admit;
use super::{Outcome, Refusal};
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{Move, StepRecord};

/// Run an ended execution again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// Drop the journal from this step on; `None` keeps it all.
    pub from_step: Option<String>,
    /// The journal, read beforehand if `from_step` is given.
    pub steps: Vec<(String, StepRecord)>,
}

impl Replay {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::archive(self.id)]
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        if let Some(open) = context.open(&self.namespace, self.id) {
            return Err(Refusal::NotFinished(open.state()));
        }
        let mut execution = context.archived(Some(&self.namespace), self.id)?;
        admit(context, &execution.group)?;
        self.drop_steps(context)?;
        let now = context.now();
        if let Some(ended) = execution.end.take() {
            context.delete_cold(key::ended(ended.at, self.id));
            if execution.policy.retention_ms.is_some() {
                let trim_at = ended.at.saturating_add(execution.policy.retention());
                context.delete_cold(key::trim(trim_at, self.id));
            }
            if ended.output.as_ref().is_some_and(|output| output.apart.is_some()) {
                context.delete_cold(key::output(self.id));
            }
            match ended.outcome {
                Some(outcome) => {
                    let last = Ended { outcome, error: ended.error.clone(), body: None };
                    close_attempt(context, &mut execution, last, ended.at);
                }
                None => execution.lease = None,
            }
        }
        context.delete_cold(key::archive(self.id));
        context.step(&mut execution, Move::Replay)?;
        execution.failures = 0;
        execution.crashes = 0;
        execution.stop = None;
        execution.paused = false;
        execution.revived_at = Some(now);
        context.enqueue(&mut execution);
        let state = execution.state();
        context.put(execution, EventKind::Replayed);
        Ok(Outcome::Acted(self.id, state))
    }

    fn drop_steps(&self, context: &mut Context<'_>) -> Result<(), Refusal> {
        let Some(from) = &self.from_step else { return Ok(()) };
        let place = |record: &StepRecord| (record.begun_at, record.sequence);
        let first = self.steps.iter().find(|(key, _)| key == from).map(|(_, record)| place(record));
        let first = first.ok_or_else(|| Refusal::StepNotFound { step: from.clone() })?;
        for (step, _) in self.steps.iter().filter(|(_, record)| place(record) >= first) {
            context.delete_cold(key::step(self.id, step));
        }
        Ok(())
    }
}
