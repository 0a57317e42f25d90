//! Failing: the worker's word that an attempt ended badly.

use super::context::Context;
use super::ending::{Ended, archive_if_ended, fail_attempt, repeated};
use super::{Outcome, Refusal};
use crate::Millis;
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, ErrorInfo, Hash, Payload};
use crate::partition::Partition;

/// End an attempt with an error; the policy says whether another follows, unless the worker does.
#[derive(Clone, Debug)]
pub struct Fail {
    /// The lease.
    pub lease: LeaseRef,
    /// What went wrong.
    pub error: ErrorInfo,
    /// `false` means no other attempt.
    pub retry: Option<bool>,
    /// The wait before the next attempt, instead of the policy's.
    pub retry_after_ms: Option<Millis>,
}

impl Fail {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let body = self.body();
        let execution = match context.leased(&self.lease) {
            Ok(execution) => execution,
            Err(_) => return repeated(context, &self.lease, body),
        };
        let ended =
            Ended { outcome: AttemptOutcome::Failed, error: Some(self.error.clone()), body: Some(body) };
        fail_attempt(context, execution, ended, self.retry, self.retry_after_ms)
    }

    fn body(&self) -> Hash {
        let text = format!(
            "{}\0{}\0{}",
            self.error.error_type,
            self.error.message,
            self.error.details.as_deref().unwrap_or_default()
        );
        // The content type keeps a failure apart from an output of the same bytes.
        Payload { bytes: text.into(), content_type: Some("failure".into()) }.hash()
    }
}
