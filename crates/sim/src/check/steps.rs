//! Journaled steps: once the result is acknowledged the step never runs again.

use std::collections::{BTreeMap, BTreeSet};

use stint_core::ExecutionId;

use super::{Checker, RunId};
use crate::invariant::Invariant;

/// See the module.
#[derive(Default)]
pub(super) struct Steps {
    acknowledged: BTreeMap<(ExecutionId, String), (String, u64)>,
    /// Executions whose journal a replay may have cut.
    cut: BTreeSet<ExecutionId>,
}

impl Checker {
    /// A worker hears that a step's result is recorded.
    pub(super) fn step_recorded(&mut self, id: ExecutionId, key: &str, output: &str) {
        if self.is_tainted(id) || self.steps.cut.contains(&id) {
            return;
        }
        let now = self.now_ms();
        let at = (id, key.to_owned());
        match self.steps.acknowledged.get(&at) {
            Some((known, _)) if known != output => {
                let what = format!("step {key} of {id} has two results: {known} and {output}");
                self.found(Invariant::StepOnce, what);
            }
            Some(_) => {}
            None => _ = self.steps.acknowledged.insert(at, (output.to_owned(), now)),
        }
    }

    /// A handler runs a step.
    pub(crate) fn step_runs(&mut self, run: RunId, key: &str) {
        let Some((id, epoch, since_ms, stood_still)) = self.run(run) else { return };
        if self.is_tainted(id) || self.steps.cut.contains(&id) {
            return;
        }
        let Some((_, recorded_ms)) = self.steps.acknowledged.get(&(id, key.to_owned())) else { return };
        // Who stood still may have been told to run it before somebody else recorded it.
        if *recorded_ms <= since_ms || !stood_still {
            let what =
                format!("step {key} of {id} runs in epoch {epoch}, its result came at {recorded_ms} ms");
            self.found(Invariant::StepOnce, what);
        }
    }

    /// A handler has a step's result: the one that was acknowledged, if any was.
    pub(crate) fn step_gave(&mut self, run: RunId, key: &str, output: &str) {
        let Some((id, _, _, stood_still)) = self.run(run) else { return };
        if self.is_tainted(id) || self.steps.cut.contains(&id) || stood_still {
            return;
        }
        if let Some((known, _)) = self.steps.acknowledged.get(&(id, key.to_owned()))
            && known != output
        {
            let what = format!("step {key} of {id} gave {output}, but {known} was acknowledged");
            self.found(Invariant::StepOnce, what);
        }
    }

    /// A replay that drops steps is about to be asked for.
    pub(crate) fn journal_cut(&mut self, id: &str) {
        if let Ok(id) = id.parse() {
            self.steps.cut.insert(id);
        }
    }
}
