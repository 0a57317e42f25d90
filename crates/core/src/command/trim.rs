//! Trimming: what has ended and outlived its retention goes, with all that hangs on it.

use super::context::Context;
use super::ending::oldest_attempt;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key, NameHash};
use crate::model::{IdempotencyRecord, KEY_RETENTION_MS, Spec};

/// Remove an ended execution whose retention is over; nothing, if it is not.
#[derive(Clone, Debug)]
pub struct Trim {
    /// The execution.
    pub id: ExecutionId,
    /// Its journaled steps, read beforehand.
    pub steps: Vec<Key>,
}

impl Trim {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::archive(self.id), key::spec(self.id)]
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let now = context.now();
        let execution = match context.archived(None, self.id) {
            Err(Refusal::NotFound(_)) => return Ok(Outcome::Done),
            other => other?,
        };
        let Some(ended) = execution.end.as_deref() else { return Ok(Outcome::Done) };
        let trim_at = ended.at.saturating_add(execution.policy.retention());
        if trim_at > now || context.partition.execution(self.id).is_some() {
            return Ok(Outcome::Done);
        }
        let spec = context.decode::<Spec>(&key::spec(self.id))?.unwrap_or_default();
        for (tag, value) in spec.tags.iter().flatten() {
            let hash = key::tag_hash(&execution.group.namespace, tag, value);
            context.delete_cold(key::tag(hash, execution.submitted_at, self.id));
        }
        if let Some(hash) = spec.key {
            let forget_at = execution.submitted_at.saturating_add(KEY_RETENTION_MS);
            if forget_at > now {
                context.put_cold(key::key_trim(forget_at, hash), Vec::new());
            } else {
                context.delete_cold(key::idempotency(hash));
            }
        }
        for attempt in oldest_attempt(&execution)..=execution.attempt {
            context.delete_cold(key::attempt(self.id, attempt));
        }
        for step in &self.steps {
            context.delete_cold(step.clone());
        }
        if spec.input.apart.is_some() {
            context.delete_cold(key::input(self.id));
        }
        if ended.output.as_ref().is_some_and(|output| output.apart.is_some()) {
            context.delete_cold(key::output(self.id));
        }
        if execution.policy.retention_ms.is_some() {
            context.delete_cold(key::trim(trim_at, self.id));
        }
        context.delete_cold(key::ended(ended.at, self.id));
        context.delete_cold(key::spec(self.id));
        context.delete_cold(key::archive(self.id));
        context.event(&execution, EventKind::Trimmed);
        Ok(Outcome::Done)
    }
}

/// Forget an idempotency key that outlived its execution.
#[derive(Clone, Debug)]
pub struct TrimKey {
    /// The key's hash.
    pub hash: NameHash,
    /// The instant under which it is listed.
    pub at: Millis,
}

impl TrimKey {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        vec![key::idempotency(self.hash)]
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        if self.at > context.now() {
            return Ok(Outcome::Done);
        }
        context.delete_cold(key::key_trim(self.at, self.hash));
        // The key may have been taken again by a later execution.
        let record = context.decode::<IdempotencyRecord>(&key::idempotency(self.hash))?;
        if record.is_some_and(|r| r.submitted_at.saturating_add(KEY_RETENTION_MS) <= self.at) {
            context.delete_cold(key::idempotency(self.hash));
        }
        Ok(Outcome::Done)
    }
}
