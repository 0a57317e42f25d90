//! Trimming: what has ended and outlived its retention goes, with all that hangs on it.

use super::context::Context;
use super::ending::oldest_attempt;
use super::permit::oldest_epoch;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{ExecutionId, HoldId};
use crate::key::{self, Key, NameHash};
use crate::model::{ENDED_HOLD_MS, EndedHold, ID_RETENTION_MS, IdempotencyRecord, KEY_RETENTION_MS, Spec};

/// Remove an ended execution whose retention is over; nothing, if it is not.
#[derive(Clone, Debug)]
pub struct Trim {
    /// The execution.
    pub id: ExecutionId,
    /// Its journaled steps, read beforehand.
    pub steps: Vec<Key>,
    /// There are more steps than these: only these go, and the rest with another command.
    pub more: bool,
    /// Charges under its leases are among `steps`.
    pub charges: bool,
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
        for step in &self.steps {
            context.delete_cold(step.clone());
        }
        if self.more {
            return Ok(Outcome::Done);
        }
        if execution.spending.is_some() {
            if !self.charges {
                return Ok(Outcome::HasCharges);
            }
            for epoch in oldest_epoch(&execution)..=execution.epoch {
                context.delete_cold(key::epoch(self.id, epoch));
            }
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
        for record in 0..execution.log.as_deref().map_or(0, |log| log.records) {
            context.delete_cold(key::log_lines(self.id, record));
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
        let forget_at = execution.submitted_at.saturating_add(ID_RETENTION_MS);
        if forget_at > now {
            let left = Spec { submitted_at: spec.submitted_at, trimmed: Some(true), ..Spec::default() };
            context.put_cold(key::spec(self.id), left.encode());
            context.put_cold(key::key_trim(forget_at, self.id.0), Vec::new());
        } else {
            context.delete_cold(key::spec(self.id));
        }
        context.delete_cold(key::archive(self.id));
        context.event(&execution, EventKind::Trimmed);
        Ok(Outcome::Done)
    }
}

/// Forget an idempotency key, or an id, that outlived its execution; or a hold that ended long ago.
#[derive(Clone, Debug)]
pub struct TrimKey {
    /// The key's hash, or the id.
    pub hash: NameHash,
    /// The instant under which it is listed.
    pub at: Millis,
}

impl TrimKey {
    pub(super) fn cold_keys(&self) -> Vec<Key> {
        let hold = key::ended_hold(HoldId(self.hash));
        vec![key::idempotency(self.hash), key::spec(ExecutionId(self.hash)), hold]
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
        let id = ExecutionId(self.hash);
        if context.decode::<Spec>(&key::spec(id))?.is_some_and(|spec| spec.trimmed == Some(true)) {
            context.delete_cold(key::spec(id));
        }
        let hold = key::ended_hold(HoldId(self.hash));
        let ended = context.decode::<EndedHold>(&hold)?;
        if ended.is_some_and(|ended| ended.at.saturating_add(ENDED_HOLD_MS) <= self.at) {
            context.delete_cold(hold);
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, json, policy};
    use crate::command::Command;
    use crate::model::RETENTION_MS;

    /// An execution with everything that can hang on one.
    fn full(bed: &mut Bed, retention_ms: Option<Millis>) -> ExecutionId {
        let id = bed.submit(|s| {
            s.input = json(&"x".repeat(2_000));
            s.tags = vec![("team".into(), "search".into()), ("run".into(), "5".into())];
            s.key = Some(([7; 16], [1; 16]));
            s.fairness_key = Some("a".into());
            s.policy = policy(|p| p.retention_ms = retention_ms);
        });
        let lease = bed.lease();
        bed.begin(lease, "a").unwrap();
        bed.record(lease, "a", "1").unwrap();
        bed.log(lease, vec!["begun".into()], None).unwrap();
        bed.fail_as(lease, "Broken", None, Some(0)).unwrap();
        bed.lease();
        bed.pass(30_000);
        let lease = bed.lease();
        bed.begin(lease, "b").unwrap();
        bed.log(lease, vec!["again".into(), "and again".into()], None).unwrap();
        bed.complete(lease, &"y".repeat(2_000)).unwrap();
        bed.pass(10);
        bed.replay(id, Some("b")).unwrap();
        let lease = bed.lease();
        bed.begin(lease, "c").unwrap();
        bed.complete(lease, &"z".repeat(2_000)).unwrap();
        id
    }

    #[test]
    fn nothing_is_left() {
        for retention_ms in [None, Some(RETENTION_MS / 2)] {
            let mut bed = Bed::new();
            let id = full(&mut bed, retention_ms);
            let tables: std::collections::BTreeSet<u8> = bed.written.iter().map(|key| key.bytes[0]).collect();
            assert!(b"xsiuatkpelt".iter().all(|kind| tables.contains(kind)), "{tables:?}");
            assert_eq!(tables.contains(&b'f'), retention_ms.is_some());
            bed.pass(retention_ms.unwrap_or(RETENTION_MS));
            bed.trim(id);
            assert!(bed.store.is_empty(), "{:?}", bed.store.keys());
            assert_eq!(bed.events.last().map(|event| event.kind), Some(EventKind::Trimmed));
            bed.trim(id);
        }
    }

    #[test]
    fn only_a_young_key_stays_and_is_listed_for_its_time() {
        let mut bed = Bed::new();
        let id = full(&mut bed, Some(1_000));
        bed.pass(1_000);
        bed.trim(id);
        let at = crate::bed::START + ID_RETENTION_MS;
        let trim = Command::TrimKey(TrimKey { hash: id.0, at });
        bed.run(trim.clone()).unwrap();
        assert!(bed.store.contains_key(&key::spec(id)), "the id is still known");
        bed.now = at;
        bed.run(trim).unwrap();
        let at = crate::bed::START + KEY_RETENTION_MS;
        let left: Vec<Key> = bed.store.keys().cloned().collect();
        assert_eq!(left, [key::idempotency([7; 16]), key::key_trim(at, [7; 16])]);
        let trim = Command::TrimKey(TrimKey { hash: [7; 16], at });
        bed.run(trim.clone()).unwrap();
        assert_eq!(bed.store.len(), 2, "not before its time");
        bed.now = at;
        bed.run(trim).unwrap();
        assert!(bed.store.is_empty());
    }

    #[test]
    fn very_many_steps_go_in_portions_before_the_rest() {
        let mut bed = Bed::new();
        let id = full(&mut bed, None);
        bed.pass(RETENTION_MS);
        let steps: Vec<Key> = bed.steps(id).into_values().map(|(key, _)| key).collect();
        assert!(steps.len() > 1);
        let portion = Trim { id, steps: steps[..1].to_vec(), more: true, charges: false };
        bed.run(Command::Trim(portion)).unwrap();
        assert_eq!(bed.steps(id).len(), steps.len() - 1);
        assert_eq!(bed.state(id), crate::model::State::Completed, "all else waits for the last portion");
        bed.trim(id);
        assert!(bed.store.is_empty());
    }

    #[test]
    fn nothing_goes_before_its_time() {
        let mut bed = Bed::new();
        let id = full(&mut bed, None);
        let open = bed.submit(|_| ());
        bed.pass(RETENTION_MS - 1);
        let before = bed.store.clone();
        bed.trim(id);
        bed.trim(open);
        let nobody = bed.fresh_id();
        bed.trim(nobody);
        assert_eq!(bed.store, before);
    }

    #[test]
    fn what_was_replayed_stays() {
        let mut bed = Bed::new();
        let id = full(&mut bed, None);
        bed.pass(RETENTION_MS);
        bed.replay(id, None).unwrap();
        let before = bed.store.clone();
        bed.trim(id);
        assert_eq!(bed.store, before);
    }

    #[test]
    fn of_very_many_attempts_the_latest_are_kept() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        for _ in 0..1_005 {
            bed.lease();
            bed.act(id, crate::command::Action::Revoke).unwrap();
        }
        let attempts = |bed: &Bed| bed.store.keys().filter(|key| key.bytes[0] == b't').count();
        assert_eq!(attempts(&bed), 1_000);
        bed.cancel(id, 0).unwrap();
        bed.pass(RETENTION_MS);
        bed.trim(id);
        assert!(bed.store.is_empty(), "{:?}", bed.store.keys());
    }
}
