//! What the store was seen to hold, and whether each change was one that may happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use stint_core::model::{
    ArchiveRecord, Execution, HISTORY_MAX, IdempotencyRecord, LaneMode, LaneSettings, Policy, Record, State,
    StopReason, Transition,
};
use stint_core::{EventKind, ExecutionId, LeaseToken};
use stint_store::PartitionId;
use stint_store::memory::Dump;

use super::Checker;
use super::history::{Life, Limits, Phase};
use crate::invariant::Invariant;
use crate::job::{Job, text};

/// A partition as it was last seen.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) dump: Dump,
    pub(super) executions: BTreeMap<ExecutionId, Seen>,
    /// When commits of it were last lost.
    pub(super) lost_at_ms: Option<u64>,
}

/// An execution as it was last seen.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) life: Life,
    pub(super) state: State,
    pub(super) token: Option<LeaseToken>,
    pub(super) job: Option<Job>,
    /// Every end it ever had.
    pub(super) ends: Vec<Ending>,
    pub(super) lane: (Arc<str>, Arc<str>),
    policy: Arc<Policy>,
    history: Vec<Transition>,
    ended_at: Option<i64>,
}

/// One end of an execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ending {
    pub(super) epoch: u32,
    pub(super) state: State,
    /// Its output; not known if the end was replayed before anybody could look.
    pub(super) output: Known,
}

/// An output, as far as it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Is(Option<String>),
    Not,
}

impl Known {
    /// Whether it may be this.
    pub(super) fn may_be(&self, output: &Option<String>) -> bool {
        match self {
            Self::Is(known) => known == output,
            Self::Not => true,
        }
    }
}

impl Checker {
    /// Looks at a partition if its head has moved.
    pub(crate) fn look_at(&mut self, partition: PartitionId) {
        let moved =
            self.watched(partition).is_some_and(|watched| watched.dump.head != self.store.head(partition));
        if !moved {
            return;
        }
        let dump = self.store.dump(partition);
        let Some(watched) = self.partitions.get_mut(usize::from(partition.0)) else { return };
        let before = std::mem::replace(&mut watched.dump, dump.clone());
        for id in changed(&before, &dump) {
            self.follow(partition, id, &before, &dump);
        }
        self.budgets_hold(&before, &dump);
        self.doubt_is_kept(&before, &dump);
        self.breaches_latch(&before, &dump);
    }

    /// Takes a partition as it now is, after commits were lost: what they touched is tainted.
    pub(super) fn take_as_is(&mut self, partition: PartitionId) {
        let dump = self.store.dump(partition);
        let now = self.now_ms();
        let Some(watched) = self.partitions.get_mut(usize::from(partition.0)) else { return };
        let before = std::mem::replace(&mut watched.dump, dump.clone());
        watched.lost_at_ms = Some(now);
        for id in touched(&before, &dump) {
            self.tainted.insert(id);
            match decode(id, &dump) {
                Ok(Some((execution, _))) => {
                    let seen = Seen::as_is(&execution, job_of(id, &dump));
                    watched.executions.insert(id, seen);
                }
                _ => _ = watched.executions.remove(&id),
            }
        }
    }

    pub(super) fn watched(&self, partition: PartitionId) -> Option<&Watched> {
        self.partitions.get(usize::from(partition.0))
    }

    pub(super) fn seen(&self, id: ExecutionId) -> Option<&Seen> {
        self.watched(PartitionId(id.partition().0))?.executions.get(&id)
    }

    /// Every execution there is, with what is known of it.
    pub(super) fn all_seen(&self) -> impl Iterator<Item = (&ExecutionId, &Seen)> {
        self.partitions.iter().flat_map(|watched| &watched.executions)
    }

    fn follow(&mut self, partition: PartitionId, id: ExecutionId, before: &Dump, dump: &Dump) {
        let (execution, is_open) = match decode(id, dump) {
            Ok(Some(found)) => found,
            Ok(None) => return self.follow_gone(partition, id, dump),
            Err(what) => return self.found(Invariant::OneEnd, format!("{id}: {what}")),
        };
        let known = self.seen(id).cloned();
        let job = known.as_ref().and_then(|seen| seen.job.clone()).or_else(|| job_of(id, dump));
        let mut seen = match known {
            Some(seen) => seen,
            None => Seen::fresh(&execution, job),
        };
        let history = execution.history();
        if history.len() == HISTORY_MAX {
            // Too long to follow from its beginning.
            seen = Seen { ends: seen.ends, ..Seen::as_is(&execution, seen.job) };
        } else if history.get(..seen.history.len()) != Some(seen.history.as_slice()) {
            self.found(Invariant::OneEnd, format!("{id}: its history was rewritten"));
            seen = Seen::as_is(&execution, seen.job);
        } else {
            let news = history.get(seen.history.len()..).unwrap_or_default().to_vec();
            for transition in &news {
                self.follow_event(id, &mut seen, transition.kind, &execution, before, dump);
            }
            seen.history = history.to_vec();
        }
        self.compare(id, &mut seen, &execution, is_open);
        if is_open {
            self.is_funded(&execution);
        }
        if let Some(watched) = self.partitions.get_mut(usize::from(partition.0)) {
            watched.executions.insert(id, seen);
        }
    }

    fn follow_event(
        &mut self,
        id: ExecutionId,
        seen: &mut Seen,
        event: EventKind,
        execution: &Execution,
        before: &Dump,
        dump: &Dump,
    ) {
        let limits = seen.job.as_ref().map_or(
            Limits {
                max_attempts: execution.policy.retry.max_attempts,
                max_crashes: execution.policy.max_crashes,
            },
            Job::limits,
        );
        if let Err((invariant, what)) = seen.life.follow(event, limits) {
            self.found(invariant, format!("{id}: {what}"));
        }
        match event {
            EventKind::Leased => {
                let (namespace, lane) = seen.lane.clone();
                // In the batch that brings a pause something may still start before it.
                let paused = |dump: &Dump| lane_copy(dump, &namespace, &lane).mode == LaneMode::Paused;
                if paused(before) && paused(dump) {
                    let what =
                        format!("{id} was leased in lane {lane}, which its partition knows to be paused");
                    self.found(Invariant::PausedStartsNothing, what);
                }
                self.leased_in(id, &namespace, &lane);
            }
            EventKind::Crashed => self.crashed(id, seen.life.epoch),
            kind if kind.is_end() => {
                let end = execution.end.as_deref();
                let output = match end {
                    Some(end) => Known::Is(end.output.as_ref().and_then(text)),
                    None => Known::Not,
                };
                let state = match kind {
                    EventKind::Completed => State::Completed,
                    EventKind::Cancelled => State::Cancelled,
                    EventKind::Expired => State::Expired,
                    _ => State::Failed,
                };
                seen.ends.push(Ending { epoch: seen.life.epoch, state, output });
            }
            _ => {}
        }
    }

    /// Whether the record agrees with its own history.
    fn compare(&mut self, id: ExecutionId, seen: &mut Seen, execution: &Execution, is_open: bool) {
        seen.state = execution.state();
        seen.token = execution.lease.as_deref().map(|lease| lease.token);
        seen.ended_at = execution.end.as_deref().map(|end| end.at);
        seen.policy = execution.policy.clone();
        let phase = match execution.state() {
            State::Running => Phase::Running,
            state if state.is_end() => Phase::Ended,
            _ => Phase::Waiting,
        };
        if phase != seen.life.phase
            || execution.epoch != seen.life.epoch
            || is_open == execution.state().is_end()
        {
            let what = format!(
                "{id}: the record says {:?}, epoch {}, its history {:?}",
                execution.state(),
                execution.epoch,
                seen.life
            );
            self.found(Invariant::OneEnd, what);
            seen.life = Seen::as_is(execution, None).life;
        }
    }

    /// An execution that is nowhere any more must have outlived its retention.
    fn follow_gone(&mut self, partition: PartitionId, id: ExecutionId, dump: &Dump) {
        let Some(watched) = self.partitions.get_mut(usize::from(partition.0)) else { return };
        let Some(seen) = watched.executions.remove(&id) else { return };
        let due = seen.ended_at.map(|at| at + seen.policy.retention());
        if due.is_none_or(|due| due > dump.head.now_ms) {
            self.found(Invariant::SubmissionKept, format!("{id} ({:?}) is gone from the store", seen.state));
        } else {
            self.trimmed.insert(id);
            // A request that arrives again so late makes it anew, under the same id.
            self.tainted.insert(id);
        }
    }
}

impl Seen {
    /// One that has just been submitted, before the first event of its history.
    fn fresh(execution: &Execution, job: Option<Job>) -> Self {
        let ends = Vec::new();
        Self { life: Life::default(), history: Vec::new(), ends, ..Self::as_is(execution, job) }
    }

    /// One whose past is taken for granted.
    fn as_is(execution: &Execution, job: Option<Job>) -> Self {
        let phase = match execution.state() {
            State::Running => Phase::Running,
            state if state.is_end() => Phase::Ended,
            _ => Phase::Waiting,
        };
        let life = Life {
            phase,
            epoch: execution.epoch,
            failures: execution.failures,
            crashes: execution.crashes,
            paused: execution.paused,
            // A budget's stop parks it; who cancels wants its end.
            stopping: execution.stop.as_deref().is_some_and(|stop| stop.reason == StopReason::Cancel),
        };
        let end = execution.end.as_deref();
        let ends = end.map(|end| Ending {
            epoch: execution.epoch,
            state: execution.state(),
            output: Known::Is(end.output.as_ref().and_then(text)),
        });
        Self {
            life,
            state: execution.state(),
            token: execution.lease.as_deref().map(|lease| lease.token),
            job,
            ends: ends.into_iter().collect(),
            lane: (execution.group.namespace.clone(), execution.group.lane.clone()),
            policy: execution.policy.clone(),
            history: execution.history().to_vec(),
            ended_at: end.map(|end| end.at),
        }
    }
}

/// A partition's own copy of a lane's settings.
fn lane_copy(dump: &Dump, namespace: &str, lane: &str) -> LaneSettings {
    let key = stint_core::key::lane(namespace, lane).bytes;
    match dump.live.get(&key).map(|value| Record::decode(&key, value)) {
        Some(Ok(Record::Lane(settings))) => *settings,
        _ => LaneSettings::default(),
    }
}

/// Executions whose live or archive record differs.
fn changed(before: &Dump, after: &Dump) -> BTreeSet<ExecutionId> {
    let differ = |kind: u8, a: &BTreeMap<Bytes, Bytes>, b: &BTreeMap<Bytes, Bytes>| {
        let here = |map: &BTreeMap<Bytes, Bytes>, other: &BTreeMap<Bytes, Bytes>| {
            let from = Bytes::copy_from_slice(&[kind]);
            let to = Bytes::copy_from_slice(&[kind + 1]);
            map.range(from..to)
                .filter(|(key, value)| other.get(*key) != Some(*value))
                .filter_map(|(key, _)| key.get(1..)?.try_into().ok().map(ExecutionId))
                .collect::<Vec<_>>()
        };
        here(a, b).into_iter().chain(here(b, a)).collect::<Vec<_>>()
    };
    let live = differ(b'x', &before.live, &after.live);
    let archived = differ(b'a', &before.cold, &after.cold);
    live.into_iter().chain(archived).collect()
}

/// Executions of which any record differs: journaled steps and keys as well.
fn touched(before: &Dump, after: &Dump) -> BTreeSet<ExecutionId> {
    let mut touched = changed(before, after);
    for (a, b) in [(before, after), (after, before)] {
        for (table, other) in [(&a.cold, &b.cold), (&a.ordered, &b.ordered)] {
            let differing = table.iter().filter(|(key, value)| other.get(*key) != Some(*value));
            touched.extend(differing.filter_map(|(key, value)| about(key, value)));
        }
    }
    touched
}

/// The execution that a cold or ordered record is about.
fn about(key: &Bytes, value: &Bytes) -> Option<ExecutionId> {
    let id = |bytes: &[u8]| bytes.try_into().ok().map(ExecutionId);
    match key.first()? {
        b's' | b'i' | b'u' | b't' | b'p' => id(key.get(1..17)?),
        b'k' => minicbor::decode::<IdempotencyRecord>(value).ok().map(|record| ExecutionId(record.execution)),
        _ => None,
    }
}

/// An execution as a partition holds it, and whether it is open.
fn decode(id: ExecutionId, dump: &Dump) -> Result<Option<(Execution, bool)>, String> {
    let live = dump.live.get(&stint_core::key::execution(id).bytes);
    let archived = dump.cold.get(&stint_core::key::archive(id).bytes);
    let (bytes, is_open) = match (live, archived) {
        (Some(_), Some(_)) => return Err("it is open and has ended at once".to_owned()),
        (Some(bytes), None) => (bytes, true),
        (None, Some(bytes)) => (bytes, false),
        (None, None) => return Ok(None),
    };
    let execution = ArchiveRecord::decode(id, bytes).map_err(|error| format!("its record: {error}"))?;
    Ok(Some((execution, is_open)))
}

fn job_of(id: ExecutionId, dump: &Dump) -> Option<Job> {
    Job::of_spec(dump.cold.get(&stint_core::key::spec(id).bytes)?)
}
