//! Completing: the worker's word that an attempt ended well.

use super::context::Context;
use super::ending::{Ended, archive_if_ended, end, repeated};
use super::{Outcome, Refusal};
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, Move, Payload};
use crate::partition::Partition;

/// End an attempt, and its execution, with an output.
#[derive(Clone, Debug)]
pub struct Complete {
    /// The lease.
    pub lease: LeaseRef,
    /// What the work gave.
    pub output: Payload,
}

impl Complete {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    /// Completing twice with the same output is answered the same; another output is `already_completed`. Work that was
    /// asked to stop and finished first has finished.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let body = self.output.hash();
        let mut execution = match context.leased(&self.lease) {
            Ok(execution) => execution,
            Err(_) => return repeated(context, &self.lease, body),
        };
        execution.stop = None;
        let ended = Ended { outcome: AttemptOutcome::Completed, error: None, body: Some(body) };
        end(context, execution, Move::Complete, ended, Some(&self.output))
    }
}
