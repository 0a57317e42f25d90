//! Accepting work: new executions, ready or scheduled, once per id and per idempotency key.

use std::sync::Arc;

use super::context::Context;
use super::why::state_of;
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
    /// Whether the same request may come again under the same id, because the id follows from it or because it is
    /// forwarded: then the commit asserts that the id is new. Without it only an open execution is recognised.
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
    /// The idempotency key itself, to be shown.
    pub key_text: Option<String>,
    /// The input.
    pub input: Payload,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// It can't be taken: it is only answered if it was taken before, under the same id or key, and else not found.
    pub known_only: bool,
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
    /// What keeps it from starting, though it is ready.
    pub blocked_by: Option<&'static str>,
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
        if self.known_only {
            return Err(Refusal::NotFound(self.id));
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
        let policy = policy(context, self);
        let mut execution = Execution::new(self.id, group, policy, self.priority, now, due_at);
        execution.fair = self.fairness_key.clone().map(|key| Box::new(Fair { key, tag: 0 }));
        if execution.state() == State::Ready {
            context.enqueue(&mut execution);
        }
        let submitted = submitted(context, &execution, false);
        self.put_cold(context, now);
        context.put(execution, EventKind::Submitted);
        Ok(submitted)
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
            key_text: self.key_text.clone(),
            trimmed: None,
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
        if here.saturating_add(context.lane_length_elsewhere(group)) >= length {
            return Err(Refusal::LaneFull { lane: lane(), length });
        }
    }
    if partition.groups_in(&group.namespace, &group.lane) >= GROUPS_MAX && !partition.has_group(group) {
        return Err(Refusal::TooManyGroups { lane: lane(), max: GROUPS_MAX });
    }
    Ok(())
}

/// The policy as it will hold: what the submission leaves open is what its namespace is set to, now and for good.
fn policy(context: &Context<'_>, item: &Submission) -> Arc<Policy> {
    let partition = &context.partition;
    let settings = partition.namespace(&item.namespace);
    match settings.and_then(|settings| settings.retention_ms) {
        Some(retention) if item.policy.retention_ms.is_none() => {
            partition.shared_policy(&Policy { retention_ms: Some(retention), ..item.policy.clone() })
        }
        _ => partition.shared_policy(&item.policy),
    }
}

/// How an execution stands that is there.
fn submitted(context: &Context<'_>, execution: &Execution, existed: bool) -> Submitted {
    let lane_mode = context.partition.lane(&execution.group.namespace, &execution.group.lane).mode;
    let (_, blocked_by) = state_of(execution, lane_mode);
    Submitted { id: execution.id, state: execution.state(), existed, trimmed: false, blocked_by }
}

/// What became of an execution that was submitted before.
fn found(context: &Context<'_>, id: ExecutionId) -> Result<Submitted, Refusal> {
    if let Some(execution) = context.partition.execution(id) {
        return Ok(submitted(context, execution, true));
    }
    match context.archived(None, id) {
        Ok(execution) => Ok(submitted(context, &execution, true)),
        Err(Refusal::NotFound(_)) => {
            let state = State::Completed;
            Ok(Submitted { id, state, existed: true, trimmed: true, blocked_by: None })
        }
        Err(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;
    use crate::bed::{Bed, json, policy, requires};
    use crate::command::{Command, LaneChange};
    use crate::model::{KEY_RETENTION_MS, RETENTION_MS};

    const KEY: NameHash = [7; 16];

    #[test]
    fn work_is_ready_at_once_or_scheduled_until_its_time() {
        let mut bed = Bed::new();
        let now = bed.now;
        let states = [
            (None, None, State::Ready),
            (Some(now), None, State::Ready),
            (Some(now - 1), None, State::Ready),
            (Some(now + 1), None, State::Scheduled),
            (None, Some(0), State::Ready),
            (None, Some(5), State::Scheduled),
        ];
        for (due_at, delay_ms, state) in states {
            let submitted = bed.try_submit(|s| (s.due_at, s.delay_ms) = (due_at, delay_ms)).unwrap();
            assert_eq!((submitted.state, submitted.existed), (state, false));
        }
        bed.pass(4);
        assert_eq!(bed.partition.ready().map(|r| r.count).sum::<usize>(), 5);
        bed.pass(1);
        assert_eq!(bed.partition.ready().map(|r| r.count).sum::<usize>(), 6);
    }

    #[test]
    fn a_key_stands_for_its_first_submission() {
        let mut bed = Bed::new();
        let first = bed.submit(|s| s.key = Some((KEY, [1; 16])));
        let again = bed.try_submit(|s| s.key = Some((KEY, [1; 16]))).unwrap();
        assert_eq!((again.id, again.existed, again.state), (first, true, State::Ready));
        let other = bed.try_submit(|s| s.key = Some((KEY, [2; 16])));
        assert_eq!(other, Err(Refusal::IdempotencyConflict { existing: first }));
        assert_eq!(bed.partition.len(), 1);

        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        let again = bed.try_submit(|s| s.key = Some((KEY, [1; 16]))).unwrap();
        assert_eq!((again.id, again.existed, again.state), (first, true, State::Completed));
    }

    #[test]
    fn a_key_outlives_a_short_retention_for_a_day() {
        let mut bed = Bed::new();
        let short = |s: &mut Submission| {
            s.key = Some((KEY, [1; 16]));
            s.policy = policy(|p| p.retention_ms = Some(1_000));
        };
        let first = bed.submit(short);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.pass(1_000);
        bed.trim(first);
        let again = bed.try_submit(short).unwrap();
        assert_eq!((again.id, again.existed, again.trimmed), (first, true, true));
        assert!(bed.try_submit(|s| s.key = Some((KEY, [2; 16]))).is_err());

        bed.pass(KEY_RETENTION_MS);
        let at = crate::bed::START + KEY_RETENTION_MS;
        bed.run(Command::TrimKey(crate::command::TrimKey { hash: KEY, at })).unwrap();
        assert!(!bed.try_submit(short).unwrap().existed);
    }

    #[test]
    fn a_key_is_forgotten_with_its_execution_after_a_day() {
        let mut bed = Bed::new();
        let first = bed.submit(|s| s.key = Some((KEY, [1; 16])));
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.pass(RETENTION_MS);
        bed.trim(first);
        assert!(bed.store.is_empty(), "{:?}", bed.store.keys());
        assert!(!bed.try_submit(|s| s.key = Some((KEY, [2; 16]))).unwrap().existed);
    }

    #[test]
    fn a_derived_id_names_one_execution_for_ever() {
        let mut bed = Bed::new();
        let id = ExecutionId::derived(PartitionId(7), b"session.1.0");
        let derived = |s: &mut Submission| (s.id, s.derived) = (id, true);
        assert!(!bed.try_submit(derived).unwrap().existed);
        assert!(bed.try_submit(derived).unwrap().existed);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        // Nobody has read its spec: the commit would find it present, and the engine reads it and runs this again.
        let mut txn = crate::Txn::default();
        let mut item = bed.submission();
        derived(&mut item);
        let submit = Command::Submit(Submit { items: vec![item] });
        bed.run_in(&mut txn, &submit).unwrap();
        assert_eq!(txn.absent(), [key::spec(id)]);
        txn.undo(&mut bed.partition);
        bed.check();
        bed.read_first.insert(key::spec(id));
        let again = bed.try_submit(derived).unwrap();
        assert_eq!((again.id, again.existed, again.state), (id, true, State::Completed));
    }

    #[test]
    fn a_derived_id_is_known_for_an_hour_even_if_nothing_is_retained() {
        let mut bed = Bed::new();
        let id = ExecutionId::derived(PartitionId(7), b"session.1.0");
        let derived = |s: &mut Submission| {
            (s.id, s.derived) = (id, true);
            s.policy = policy(|p| p.retention_ms = Some(0));
        };
        bed.submit(derived);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.trim(id);
        bed.read_first.insert(key::spec(id));
        let again = bed.try_submit(derived).unwrap();
        assert_eq!((again.existed, again.trimmed), (true, true), "it is not run twice");
        bed.pass(crate::model::ID_RETENTION_MS);
        let at = crate::bed::START + crate::model::ID_RETENTION_MS;
        bed.run(Command::TrimKey(crate::command::TrimKey { hash: id.0, at })).unwrap();
        assert!(bed.store.is_empty());
    }

    #[test]
    fn items_of_a_batch_are_accepted_or_refused_each_for_itself() {
        let mut bed = Bed::new();
        let max_length = Some(2);
        bed.own_lane("short", |s| s.max_length = max_length);
        let mut items: Vec<_> = (0..5).map(|_| bed.submission()).collect();
        for item in items.iter_mut().take(4) {
            item.lane = "short".into();
        }
        items[0].key = Some((KEY, [1; 16]));
        items[1].key = Some((KEY, [1; 16]));
        let Ok(Outcome::Submitted(results)) = bed.run(Command::Submit(Submit { items })) else { panic!() };
        let full = Err(Refusal::LaneFull { lane: "short".into(), length: 2 });
        assert!(results[1].as_ref().unwrap().existed && !results[0].as_ref().unwrap().existed);
        assert!(results[2].is_ok() && results[4].is_ok());
        assert_eq!(results[3], full);
        assert_eq!(bed.partition.lane_length("default", "short"), 2);
    }

    #[test]
    fn a_full_lane_counts_other_partitions_and_what_waits_only() {
        let mut bed = Bed::new();
        bed.own_lane("default", |s| s.max_length = Some(3));
        bed.lane_length_elsewhere = 2;
        bed.submit(|_| ());
        assert!(matches!(bed.try_submit(|_| ()), Err(Refusal::LaneFull { length: 3, .. })));
        bed.lease();
        bed.submit(|s| s.delay_ms = Some(1_000));
        assert!(matches!(bed.try_submit(|_| ()), Err(Refusal::LaneFull { .. })));
    }

    #[test]
    fn a_draining_lane_takes_nothing_and_runs_what_it_has() {
        let mut bed = Bed::at(crate::command::SetLane::home("default", "default"));
        let id = bed.submit(|_| ());
        bed.set_lane("default", LaneChange::Mode(LaneMode::Draining));
        let refused = Err(Refusal::LaneDraining { lane: "default".into() });
        assert_eq!(bed.try_submit(|_| ()), refused);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        assert_eq!(bed.replay(id, None), Err(Refusal::LaneDraining { lane: "default".into() }));
        bed.set_lane("default", LaneChange::Mode(LaneMode::Open));
        assert!(bed.try_submit(|_| ()).is_ok());
    }

    #[test]
    fn a_lane_has_room_for_so_many_groups() {
        let mut bed = Bed::new();
        let mut items = Vec::new();
        for n in 0..GROUPS_MAX {
            let mut item = bed.submission();
            item.requires = requires(&[&format!("slot = {n}")]);
            items.push(item);
        }
        bed.run(Command::Submit(Submit { items })).unwrap();
        let refused = bed.try_submit(|s| s.kind = "another".into());
        assert_eq!(refused, Err(Refusal::TooManyGroups { lane: "default".into(), max: GROUPS_MAX }));
        assert!(bed.try_submit(|s| s.requires = requires(&["slot = 5"])).is_ok());
        assert!(bed.try_submit(|s| s.lane = "another".into()).is_ok());
    }

    #[test]
    fn small_inputs_sit_in_the_spec_and_large_ones_apart() {
        let mut bed = Bed::new();
        let small = bed.submit(|s| s.input = json(&"x".repeat(1_024)));
        let large = bed.submit(|s| s.input = json(&"x".repeat(1_025)));
        assert!(!bed.store.contains_key(&key::input(small)));
        assert_eq!(bed.store.get(&key::input(large)).map(|bytes| bytes.len()), Some(1_025));
        assert_eq!(bed.show(small).spec.input.inline.map(|b| b.len()), Some(1_024));
        assert_eq!(bed.show(large).spec.input.apart, Some(1_025));
    }
}
