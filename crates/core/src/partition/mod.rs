//! The projection: a partition's live records, and every index that is derived from them.
//!
//! One function, [`Partition::put`], maintains them all, so that they can't drift: a projection rebuilt from the
//! records equals one kept through any history.

mod ready;
mod running;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::Millis;
use crate::ids::{ExecutionId, LeaseToken, PartitionId};
use crate::key::{self, Key, Table};
use crate::model::{Execution, Group, LaneSettings, Policy, Record, Requirement, State};
use ready::Ready;
pub use ready::ReadyGroup;
use running::Running;
use timers::Timers;

/// A live record that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("live record {key} of partition {partition} can't be read: {reason}")]
pub struct Corrupt {
    /// The partition.
    pub partition: u8,
    /// The key, escaped.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Executions that wait, by lane.
type LaneName = (Arc<str>, Arc<str>);

/// A partition's live records in memory.
#[derive(Debug)]
pub struct Partition {
    id: PartitionId,
    executions: BTreeMap<ExecutionId, Box<Execution>>,
    /// Everything that is not an execution; few.
    others: BTreeMap<Key, Record>,
    ready: Ready,
    timers: Timers,
    running: Running,
    /// Tags of open executions by lane and fairness key.
    fair: BTreeSet<(Arc<str>, Arc<str>, Arc<str>, Millis, ExecutionId)>,
    /// Executions that wait (scheduled or ready) by lane.
    waiting: BTreeMap<LaneName, u64>,
    groups: BTreeSet<Arc<Group>>,
    policies: BTreeSet<Arc<Policy>>,
    able_since: Millis,
    unset: LaneSettings,
}

impl Partition {
    /// An empty one.
    pub fn new(id: PartitionId) -> Self {
        Self {
            id,
            executions: BTreeMap::new(),
            others: BTreeMap::new(),
            ready: Ready::default(),
            timers: Timers::default(),
            running: Running::default(),
            fair: BTreeSet::new(),
            waiting: BTreeMap::new(),
            groups: BTreeSet::new(),
            policies: BTreeSet::new(),
            able_since: 0,
            unset: LaneSettings::default(),
        }
    }

    /// Which partition this is.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// Takes a live record as the store has it; `None` is deleted. For loading and for other nodes' changes.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Corrupt> {
        let corrupt =
            |reason: String| Corrupt { partition: self.id.0, key: key.escape_ascii().to_string(), reason };
        let full = Key { table: Table::Live, bytes: bytes::Bytes::copy_from_slice(key) };
        let record = value.map(|value| Record::decode(key, value)).transpose().map_err(corrupt)?;
        self.put(&full, record);
        Ok(())
    }

    /// Puts a record where another stood, and gives the other back. Undo is putting that one again.
    pub fn put(&mut self, key: &Key, record: Option<Record>) -> Option<Record> {
        match (key.bytes.first(), record) {
            (Some(b'x'), Some(Record::Execution(execution))) => {
                let before = self.take_execution(execution.id);
                self.place_execution(execution);
                before
            }
            (Some(b'x'), _) => {
                let id = key.bytes.get(1..).and_then(|b| b.try_into().ok()).map(ExecutionId)?;
                self.take_execution(id)
            }
            (_, Some(record)) => self.others.insert(key.clone(), record),
            (_, None) => self.others.remove(key),
        }
    }

    /// The bytes of the record under a live key.
    pub(crate) fn encoded(&self, key: &Key) -> Option<Vec<u8>> {
        if key.bytes.first() == Some(&b'x') {
            let id = key.bytes.get(1..).and_then(|b| b.try_into().ok()).map(ExecutionId)?;
            return self.executions.get(&id).map(|e| crate::model::ArchiveRecord::encode(e));
        }
        self.others.get(key).map(Record::encode)
    }

    /// Every live record, in key order: what a rebuilt projection would be loaded from.
    pub fn records(&self) -> impl Iterator<Item = (Key, Vec<u8>)> {
        let executions = self.executions.values();
        let executions = executions.map(|e| (key::execution(e.id), crate::model::ArchiveRecord::encode(e)));
        executions.chain(self.others.iter().map(|(key, record)| (key.clone(), record.encode())))
    }

    /// An open execution.
    pub fn execution(&self, id: ExecutionId) -> Option<&Execution> {
        self.executions.get(&id).map(|e| &**e)
    }

    /// Open executions.
    pub fn len(&self) -> usize {
        self.executions.len()
    }

    /// Whether no execution is open.
    pub fn is_empty(&self) -> bool {
        self.executions.is_empty()
    }

    /// This partition's copy of a lane's settings; the defaults if it has none.
    pub fn lane(&self, namespace: &str, lane: &str) -> &LaneSettings {
        match self.others.get(&key::lane(namespace, lane)) {
            Some(Record::Lane(settings)) => settings,
            _ => &self.unset,
        }
    }

    /// Records that are not executions, whose key begins with `kind`.
    pub(crate) fn others(&self, kind: u8) -> impl Iterator<Item = (&Key, &Record)> {
        self.others.iter().filter(move |(key, _)| key.bytes.first() == Some(&kind))
    }

    /// One record that is not an execution.
    pub(crate) fn other(&self, key: &Key) -> Option<&Record> {
        self.others.get(key)
    }

    /// Messages under way, by peer and in the order of their chains.
    pub fn outgoing(&self) -> impl Iterator<Item = (PartitionId, &crate::model::Link)> {
        self.others(b'o').filter_map(|(key, record)| match (key.bytes.get(1), record) {
            (Some(peer), Record::Link(link)) => Some((PartitionId(*peer), &**link)),
            _ => None,
        })
    }

    /// Executions that wait (scheduled or ready) in a lane here.
    pub fn lane_length(&self, namespace: &str, lane: &str) -> u64 {
        self.waiting.get(&(Arc::from(namespace), Arc::from(lane))).copied().unwrap_or(0)
    }

    /// Lanes that hold waiting work here, with how much.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.waiting.iter().map(|((namespace, lane), count)| (&**namespace, &**lane, *count))
    }

    /// The last tag of a fairness key among open executions of the group's lane.
    pub(crate) fn last_tag(&self, group: &Group, fairness_key: &str) -> Option<Millis> {
        let bound = |tag, id| {
            (group.namespace.clone(), group.lane.clone(), Arc::from(fairness_key), tag, ExecutionId(id))
        };
        self.fair.range(bound(Millis::MIN, [0; 16])..=bound(Millis::MAX, [255; 16])).next_back().map(|t| t.3)
    }

    /// Different groups of ready work in a lane.
    pub(crate) fn groups_in(&self, namespace: &str, lane: &str) -> usize {
        self.ready.in_lane(namespace, lane).count()
    }

    /// All groups that have ready work, with how much and the best order; paused lanes are left out.
    pub fn ready(&self) -> impl Iterator<Item = ReadyGroup> {
        self.ready.all().filter(|ready| self.starts(&ready.group))
    }

    /// One group's ready work; none if its lane is paused.
    pub fn ready_in(&self, group: &Arc<Group>) -> Option<ReadyGroup> {
        self.ready.one(group).filter(|ready| self.starts(&ready.group))
    }

    pub(crate) fn ready_queue(&self) -> &Ready {
        &self.ready
    }

    /// Whether the group's lane starts work.
    pub(crate) fn starts(&self, group: &Group) -> bool {
        self.lane(&group.namespace, &group.lane).mode != crate::model::LaneMode::Paused
    }

    /// Running executions whose lease carries this token.
    pub(crate) fn with_token(&self, token: LeaseToken) -> impl Iterator<Item = ExecutionId> {
        self.running.with_token(token)
    }

    /// Running executions of a worker's session.
    pub fn of_session(&self, session: u64) -> impl Iterator<Item = ExecutionId> {
        self.running.of_session(session)
    }

    /// Executions with something due at or before `now`, earliest first, at most `limit`.
    pub fn due(&self, now: Millis, limit: usize) -> Vec<ExecutionId> {
        self.timers.due(now, limit)
    }

    /// The earliest instant at which the clock has something to do.
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Since when this node could take the partition's heartbeats: no lease expires before it has lasted its TTL from
    /// there. Soft state: every lease's timer is set again.
    pub fn set_able_since(&mut self, at: Millis) {
        self.able_since = at;
        self.timers = Timers::default();
        for execution in self.executions.values() {
            self.timers.insert(execution.next_due(at), execution.id);
        }
    }

    /// See [`Partition::set_able_since`].
    pub fn able_since(&self) -> Millis {
        self.able_since
    }

    /// The group equal to `group` that this partition already holds, so that executions share one.
    pub(crate) fn shared_group(&self, group: Group) -> Arc<Group> {
        self.groups.get(&group).cloned().unwrap_or_else(|| Arc::new(group))
    }

    /// The policy equal to `policy` that this partition already holds.
    pub(crate) fn shared_policy(&self, policy: &Policy) -> Arc<Policy> {
        self.policies.get(policy).cloned().unwrap_or_else(|| Arc::new(policy.clone()))
    }

    /// Whether this very group has ready work.
    pub(crate) fn has_group(
        &self,
        namespace: &Arc<str>,
        lane: &Arc<str>,
        kind: &Arc<str>,
        requires: &[Requirement],
    ) -> bool {
        let group = Group {
            namespace: namespace.clone(),
            lane: lane.clone(),
            kind: kind.clone(),
            requires: requires.to_vec(),
        };
        self.ready.one(&Arc::new(group)).is_some()
    }

    /// Settings of the lanes that are at home here.
    pub(crate) fn lane_homes(&self) -> Vec<(String, String, LaneSettings)> {
        self.others(b'h')
            .filter_map(|(key, record)| match record {
                Record::LaneHome(home) => {
                    let name = std::str::from_utf8(key.bytes.get(1..)?).ok()?;
                    let (namespace, lane) = name.split_once('\0')?;
                    Some((namespace.to_owned(), lane.to_owned(), home.settings.clone()))
                }
                _ => None,
            })
            .collect()
    }

    fn take_execution(&mut self, id: ExecutionId) -> Option<Record> {
        let execution = self.executions.remove(&id)?;
        self.timers.remove(execution.next_due(self.able_since), id);
        self.running.remove(&execution);
        if let Some(fair) = &execution.fair {
            self.fair.remove(&fair_entry(&execution, &fair.key, fair.tag));
        }
        if is_ready(&execution) {
            self.ready.remove(&execution.group, execution.order, id);
        }
        if is_waiting(&execution) {
            let lane = (execution.group.namespace.clone(), execution.group.lane.clone());
            if let Some(count) = self.waiting.get_mut(&lane) {
                *count -= 1;
                if *count == 0 {
                    self.waiting.remove(&lane);
                }
            }
        }
        Some(Record::Execution(execution))
    }

    fn place_execution(&mut self, mut execution: Box<Execution>) {
        self.share(&mut execution);
        let id = execution.id;
        self.timers.insert(execution.next_due(self.able_since), id);
        self.running.insert(&execution);
        if let Some(fair) = &execution.fair {
            self.fair.insert(fair_entry(&execution, &fair.key, fair.tag));
        }
        if is_ready(&execution) {
            self.ready.insert(&execution.group, execution.order, id);
        }
        if is_waiting(&execution) {
            let lane = (execution.group.namespace.clone(), execution.group.lane.clone());
            *self.waiting.entry(lane).or_default() += 1;
        }
        self.executions.insert(id, execution);
    }

    /// Lets equal groups and policies stand in memory once.
    fn share(&mut self, execution: &mut Execution) {
        /// Beyond this many different ones nothing is gained by sharing, and forgetting is simple.
        const SHARED_MAX: usize = 10_000;
        if self.groups.len() > SHARED_MAX {
            self.groups.clear();
        }
        if self.policies.len() > SHARED_MAX {
            self.policies.clear();
        }
        match self.groups.get(&execution.group) {
            Some(shared) => execution.group = shared.clone(),
            None => _ = self.groups.insert(execution.group.clone()),
        }
        match self.policies.get(&execution.policy) {
            Some(shared) => execution.policy = shared.clone(),
            None => _ = self.policies.insert(execution.policy.clone()),
        }
    }
}

/// Two projections are equal if their records and every index are.
impl PartialEq for Partition {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.executions == other.executions
            && self.others == other.others
            && self.ready == other.ready
            && self.timers == other.timers
            && self.running == other.running
            && self.fair == other.fair
            && self.waiting == other.waiting
            && self.able_since == other.able_since
    }
}

fn is_ready(execution: &Execution) -> bool {
    execution.state() == State::Ready && !execution.paused
}

fn is_waiting(execution: &Execution) -> bool {
    matches!(execution.state(), State::Scheduled | State::Ready)
}

fn fair_entry(
    execution: &Execution,
    fairness_key: &Arc<str>,
    tag: Millis,
) -> (Arc<str>, Arc<str>, Arc<str>, Millis, ExecutionId) {
    (execution.group.namespace.clone(), execution.group.lane.clone(), fairness_key.clone(), tag, execution.id)
}
