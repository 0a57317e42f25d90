//! Running executions by the token of their lease and by their worker's session.

use std::collections::BTreeSet;

use crate::ids::{ExecutionId, LeaseToken};
use crate::model::{Execution, State};

#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Running {
    tokens: BTreeSet<(LeaseToken, ExecutionId)>,
    sessions: BTreeSet<(u64, ExecutionId)>,
}

impl Running {
    pub(super) fn insert(&mut self, execution: &Execution) {
        if let (State::Running, Some(lease)) = (execution.state(), &execution.lease) {
            self.tokens.insert((lease.token, execution.id));
            if lease.worker.session != 0 {
                self.sessions.insert((lease.worker.session, execution.id));
            }
        }
    }

    pub(super) fn remove(&mut self, execution: &Execution) {
        if let (State::Running, Some(lease)) = (execution.state(), &execution.lease) {
            self.tokens.remove(&(lease.token, execution.id));
            self.sessions.remove(&(lease.worker.session, execution.id));
        }
    }

    pub(super) fn with_token(&self, token: LeaseToken) -> impl Iterator<Item = ExecutionId> {
        self.tokens.range((token, ExecutionId([0; 16]))..=(token, ExecutionId([255; 16]))).map(|(_, id)| *id)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = ExecutionId> {
        self.tokens.iter().map(|(_, id)| *id)
    }

    pub(super) fn of_session(&self, session: u64) -> impl Iterator<Item = ExecutionId> {
        self.sessions
            .range((session, ExecutionId([0; 16]))..=(session, ExecutionId([255; 16])))
            .map(|(_, id)| *id)
    }
}
