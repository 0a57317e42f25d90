//! Showing: everything known of one execution.

use bytes::Bytes;

use super::Refusal;
use super::context::Context;
use super::{Outcome, why::state_of};
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::{Attempt, Execution, LaneMode, Spec};
use crate::partition::Partition;

/// Attempts shown at most, the latest.
const ATTEMPTS_SHOWN_MAX: u32 = 100;

/// Read an execution.
#[derive(Clone, Debug)]
pub struct Show {
    /// Its namespace; another's is not found.
    pub namespace: Option<String>,
    /// The execution.
    pub id: ExecutionId,
    /// Whether to read its output too.
    pub output: bool,
}

/// An execution, open or ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its record.
    pub execution: Execution,
    /// What was submitted.
    pub spec: Spec,
    /// Attempts but the last, oldest first.
    pub attempts: Vec<Attempt>,
    /// Its output, if asked for and kept in a record of its own.
    pub output: Option<Bytes>,
    /// Whether its lane starts work.
    pub lane_mode: LaneMode,
    /// Its state as the API names it: `blocked` is a view of `ready`.
    pub state: &'static str,
    /// Why it is blocked.
    pub blocked_by: Option<&'static str>,
}

impl Show {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        let mut keys = vec![key::spec(self.id)];
        if partition.execution(self.id).is_none() {
            keys.push(key::archive(self.id));
        }
        keys
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let namespace = self.namespace.as_deref();
        let execution = match context.partition.execution(self.id) {
            Some(open) if namespace.is_none_or(|n| n == &*open.group.namespace) => open.clone(),
            Some(_) => return Err(Refusal::NotFound(self.id)),
            None => context.archived(namespace, self.id)?,
        };
        let spec = context.decode::<Spec>(&key::spec(self.id))?.unwrap_or_default();
        // The attempt under way, or the one that ended the execution, stands in the execution itself.
        let kept = execution.attempt - u32::from(execution.lease.is_some());
        let first = kept.saturating_sub(ATTEMPTS_SHOWN_MAX) + 1;
        let attempts = (first..=kept)
            .map(|attempt| context.decode::<Attempt>(&key::attempt(self.id, attempt)))
            .collect::<Vec<_>>();
        // All that are missing are asked for together.
        let unread: Vec<Key> = attempts
            .iter()
            .filter_map(|attempt| match attempt {
                Err(Refusal::Cold(keys)) => Some(keys.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        if !unread.is_empty() {
            return Err(Refusal::Cold(unread));
        }
        let attempts = attempts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let apart = execution.end.as_deref().and_then(|end| end.output.as_ref()?.apart).is_some();
        let output = if self.output && apart { context.read(&key::output(self.id))? } else { None };
        let lane_mode = context.partition.lane(&execution.group.namespace, &execution.group.lane).mode;
        let (state, blocked_by) = state_of(&execution, lane_mode);
        Ok(Outcome::Shown(Box::new(Shown {
            execution,
            spec,
            attempts,
            output,
            lane_mode,
            state,
            blocked_by,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, json, policy};
    use crate::command::{Command, Outcome};
    use crate::model::State;

    #[test]
    fn it_shows_what_was_submitted_and_every_attempt_but_the_last() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| {
            s.input = json("[1]");
            s.tags = vec![("team".into(), "search".into())];
            s.prefer = vec!["gpu".into()];
            s.traceparent = Some("00-1-2-01".into());
        });
        let lease = bed.lease();
        assert_eq!(bed.show(id).attempts, []);
        bed.fail_as(lease, "Broken", None, Some(0)).unwrap();
        assert_eq!(bed.show(id).attempts.len(), 1);
        let lease = bed.lease();
        assert_eq!(bed.show(id).attempts.len(), 1);
        bed.complete(lease, "2").unwrap();
        let shown = bed.show(id);
        assert_eq!(shown.attempts.len(), 1);
        assert_eq!((shown.state, shown.execution.attempt), ("completed", 2));
        assert_eq!(shown.spec.input.inline.unwrap(), "[1]");
        assert_eq!(shown.spec.tags.unwrap(), [("team".to_owned(), "search".to_owned())]);
        assert_eq!(shown.spec.prefer.unwrap(), ["gpu"]);
        assert_eq!(shown.spec.traceparent.unwrap(), "00-1-2-01");
    }

    #[test]
    fn of_many_attempts_the_latest_are_shown() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.policy = policy(|p| p.max_crashes = 1_000));
        for _ in 0..150 {
            bed.lease();
            bed.pass(30_000);
        }
        let shown: Vec<u32> = bed.show(id).attempts.iter().map(|a| a.attempt).collect();
        assert_eq!(shown, (51..=150).collect::<Vec<_>>());
        assert_eq!(bed.show(id).execution.history().len(), crate::model::HISTORY_MAX);
        bed.check();
    }

    #[test]
    fn an_output_apart_is_read_only_when_asked_for() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.complete(lease, &"x".repeat(5_000)).unwrap();
        let show = |output| Command::Show(Show { namespace: Some("default".into()), id, output });
        let Ok(Outcome::Shown(shown)) = bed.run(show(false)) else { panic!() };
        assert_eq!(shown.output, None);
        let Ok(Outcome::Shown(shown)) = bed.run(show(true)) else { panic!() };
        assert_eq!(shown.output.map(|bytes| bytes.len()), Some(5_000));
        assert_eq!(shown.execution.state(), State::Completed);
    }

    #[test]
    fn nobody_is_not_found_and_neither_is_anothers() {
        let mut bed = Bed::new();
        let open = bed.submit(|s| s.namespace = "theirs".into());
        let ended = bed.submit(|s| s.namespace = "theirs".into());
        let cancel =
            crate::command::Cancel { namespace: "theirs".into(), id: ended, reason: None, grace_ms: Some(0) };
        bed.run(Command::Cancel(cancel)).unwrap();
        for id in [bed.fresh_id(), open, ended] {
            let show = Show { namespace: Some("default".into()), id, output: false };
            assert_eq!(bed.run(Command::Show(show)), Err(Refusal::NotFound(id)));
        }
    }
}
