//! Accepting work: new executions, ready or scheduled, once per id and per idempotency key.

use std::sync::Arc;

use super::context::Context;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::ExecutionId;
use crate::key::{self, Key, NameHash};
use crate::model::{
    Execution, Fair, Group, Hash, IdempotencyRecord, LaneMode, Payload, Policy, Requirement, Spec, State,
    Stored,
};

/// Different combinations of kind and requirements that may be open in one lane of one partition: a claim looks at each.
pub const GROUPS_MAX: usize = 1_000;

/// One execution to be.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Made once at the edge; names this partition.
    pub id: ExecutionId,
    /// Whether the id follows from the request, so that a repetition has the same.
    pub derived: bool,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Lane.
    pub lane: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// What its worker must offer.
    pub requires: Vec<Requirement>,
    /// What its worker should offer.
    pub prefer: Vec<String>,
    /// How it is retried, timed out and kept.
    pub policy: Policy,
    /// -100 to 100.
    pub priority: i8,
    /// Not before this instant.
    pub due_at: Option<Millis>,
    /// Not before this long from now.
    pub delay_ms: Option<Millis>,
    /// Fair share within the lane.
    pub fairness_key: Option<Arc<str>>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Hash of its idempotency key, and of the body as the client sent it.
    pub key: Option<(NameHash, Hash)>,
    /// The input.
    pub input: Payload,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Executions to be, all of one partition. Those that are not refused are accepted together.
#[derive(Clone, Debug)]
pub struct Submit {
    /// At least one.
    pub items: Vec<Submission>,
}

/// An accepted submission, or the one that was accepted before under the same id or key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submitted {
    /// The execution.
    pub id: ExecutionId,
    /// Where it stands.
    pub state: State,
    /// Whether it was there already.
    pub existed: bool,
    /// Whether it has ended and is gone; only its key is left.
    pub trimmed: bool,
}

impl Submit {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        self.items.iter().filter_map(|item| item.key.map(|(hash, _)| key::idempotency(hash))).collect()
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let mut results = Vec::with_capacity(self.items.len());
        for item in &self.items {
            match item.run(context) {
                Err(Refusal::Cold(keys)) => return Err(Refusal::Cold(keys)),
                result => results.push(result),
            }
        }
        Ok(Outcome::Submitted(results))
    }
}

impl Submission {
    fn run(&self, context: &mut Context<'_>) -> Result<Submitted, Refusal> {
        if let Some(existing) = self.existing(context)? {
            return Ok(existing);
        }
        let now = context.now();
        let group = context.partition.shared_group(Group {
            namespace: self.namespace.clone(),
            lane: self.lane.clone(),
            kind: self.kind.clone(),
            requires: self.requires.clone(),
        });
        admit(context, &group)?;
        let due_at = self.due_at.or(self.delay_ms.map(|delay| now.saturating_add(delay)));
        let policy = context.partition.shared_policy(&self.policy);
        let mut execution = Execution::new(self.id, group, policy, self.priority, now, due_at);
        execution.fair = self.fairness_key.clone().map(|key| Box::new(Fair { key, tag: now }));
        if execution.state() == State::Ready {
            context.enqueue(&mut execution);
        }
        let state = execution.state();
        self.put_cold(context, now);
        context.put(execution, EventKind::Submitted);
        Ok(Submitted { id: self.id, state, existed: false, trimmed: false })
    }

    /// The execution that this request, or another under its key, has made before.
    fn existing(&self, context: &mut Context<'_>) -> Result<Option<Submitted>, Refusal> {
        if let Some((hash, body)) = self.key
            && let Some(record) = context.decode::<IdempotencyRecord>(&key::idempotency(hash))?
        {
            let id = ExecutionId(record.execution);
            if record.body != body {
                return Err(Refusal::IdempotencyConflict { existing: id });
            }
            return found(context, id).map(Some);
        }
        if context.partition.execution(self.id).is_some() {
            return found(context, self.id).map(Some);
        }
        if self.derived && context.present_or_assert_absent(&key::spec(self.id)) {
            return found(context, self.id).map(Some);
        }
        Ok(None)
    }

    fn put_cold(&self, context: &mut Context<'_>, now: Millis) {
        let (input, apart) = Stored::keep(&self.input);
        let spec = Spec {
            input,
            tags: (!self.tags.is_empty()).then(|| self.tags.clone()),
            prefer: (!self.prefer.is_empty()).then(|| self.prefer.clone()),
            traceparent: self.traceparent.clone(),
            key: self.key.map(|(hash, _)| hash),
            submitted_at: now,
        };
        context.put_cold(key::spec(self.id), spec.encode());
        if let Some(bytes) = apart {
            context.put_cold(key::input(self.id), bytes);
        }
        for (tag, value) in &self.tags {
            let hash = key::tag_hash(&self.namespace, tag, value);
            context.put_cold(key::tag(hash, now, self.id), Vec::new());
        }
        if let Some((hash, body)) = self.key {
            let record = IdempotencyRecord { execution: self.id.0, body, submitted_at: now };
            context.put_cold(key::idempotency(hash), record.encode());
        }
    }
}

/// Whether the group's lane takes one more.
pub(super) fn admit(context: &Context<'_>, group: &Group) -> Result<(), Refusal> {
    let partition = &context.partition;
    let settings = partition.lane(&group.namespace, &group.lane);
    let lane = || group.lane.to_string();
    if settings.mode == LaneMode::Draining {
        return Err(Refusal::LaneDraining { lane: lane() });
    }
    if let Some(length) = settings.max_length {
        let here = partition.lane_length(&group.namespace, &group.lane);
        if here.saturating_add(context.lane_length_elsewhere()) >= length {
            return Err(Refusal::LaneFull { lane: lane(), length });
        }
    }
    if partition.groups_in(&group.namespace, &group.lane) >= GROUPS_MAX && !partition.has_group(group) {
        return Err(Refusal::TooManyGroups { lane: lane(), max: GROUPS_MAX });
    }
    Ok(())
}

/// What became of an execution that was submitted before.
fn found(context: &Context<'_>, id: ExecutionId) -> Result<Submitted, Refusal> {
    if let Some(execution) = context.partition.execution(id) {
        return Ok(Submitted { id, state: execution.state(), existed: true, trimmed: false });
    }
    match context.archived(None, id) {
        Ok(execution) => Ok(Submitted { id, state: execution.state(), existed: true, trimmed: false }),
        Err(Refusal::NotFound(_)) => {
            Ok(Submitted { id, state: State::Completed, existed: true, trimmed: true })
        }
        Err(refusal) => Err(refusal),
    }
}
