//! The projection: a partition's live records, and every index that is derived from them.
//!
//! One function, [`Partition::put`], maintains them all, so that they can't drift: a projection rebuilt from the
//! records equals one kept through any history.

mod budgets;
mod counts;
mod lanes;
mod ledgers;
mod list;
mod money;
mod namespaces;
mod policies;
mod ready;
mod running;
mod shelves;
mod spenders;
mod standing;
mod timers;

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use bytes::Bytes;

use crate::Millis;
use crate::ids::{BulkId, ExecutionId, LeaseToken, PartitionId};
use crate::key::{self, Key, Table};
use crate::model::{BulkJob, Execution, Group, LaneSettings, Policy, PriceTable, Record};
use budgets::Budgets;
pub(crate) use budgets::Due;
pub use counts::LaneCounts;
use lanes::Lanes;
pub use ledgers::LedgerWork;
use policies::Policies;
pub(crate) use ready::Ready;
pub use ready::ReadyGroup;
use running::Running;
use shelves::Shelves;
use spenders::Spenders;
pub(crate) use spenders::home;
pub use standing::LaneStanding;
use timers::Timers;

/// Executions out of time that a claim passes over in one group before it waits for their timers.
pub const LATE_MAX: usize = 1_000;

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

/// A partition's live records in memory.
#[derive(Debug)]
pub struct Partition {
    id: PartitionId,
    executions: BTreeMap<ExecutionId, Box<Execution>>,
    /// Everything that is not an execution, by its key's bytes; few.
    others: BTreeMap<Bytes, Record>,
    lanes: Lanes,
    timers: Timers,
    running: Running,
    policies: Policies,
    budgets: Budgets,
    spenders: Spenders,
    /// What only lists need, while somebody lists.
    shelves: Option<Box<Shelves>>,
    able_since: Millis,
    unset: LaneSettings,
    unpriced: PriceTable,
}

impl Partition {
    /// An empty one.
    pub fn new(id: PartitionId) -> Self {
        Self {
            id,
            executions: BTreeMap::new(),
            others: BTreeMap::new(),
            lanes: Lanes::default(),
            timers: Timers::default(),
            running: Running::default(),
            policies: Policies::default(),
            budgets: Budgets::default(),
            spenders: Spenders::default(),
            shelves: None,
            able_since: 0,
            unset: LaneSettings::default(),
            unpriced: PriceTable::default(),
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
            (Some(b'x'), record) => {
                let id = key.bytes.get(1..).and_then(|b| b.try_into().ok()).map(ExecutionId)?;
                let execution = match record {
                    Some(Record::Execution(execution)) => Some(execution),
                    _ => None,
                };
                self.put_execution(id, execution).map(Record::Execution)
            }
            (_, record) => {
                if let Some((namespace, lane)) = key::lane_name(b'l', &key.bytes) {
                    let settings = match &record {
                        Some(Record::Lane(settings)) => Some(&**settings),
                        _ => None,
                    };
                    self.lanes.set(namespace, lane, settings);
                }
                let after = record.is_some();
                let before = match record {
                    Some(record) => self.others.insert(key.bytes.clone(), record),
                    None => self.others.remove(&key.bytes),
                };
                if matches!(key.bytes.first(), Some(b'k' | b'w' | b'c' | b'd')) {
                    self.index_money(key, before.as_ref(), after);
                }
                before
            }
        }
    }

    /// The bytes of the record under a live key.
    pub(crate) fn encoded(&self, key: &Key) -> Option<Vec<u8>> {
        if key.bytes.first() == Some(&b'x') {
            let id = key.bytes.get(1..).and_then(|b| b.try_into().ok()).map(ExecutionId)?;
            return self.executions.get(&id).map(|e| crate::model::ArchiveRecord::encode(e));
        }
        self.others.get(&key.bytes).map(Record::encode)
    }

    /// Every live record: what a rebuilt projection would be loaded from. Executions come first, in the order of ids.
    pub fn records(&self) -> impl Iterator<Item = (Key, Vec<u8>)> {
        let executions = self.executions.values();
        let executions = executions.map(|e| (key::execution(e.id), crate::model::ArchiveRecord::encode(e)));
        let others = self.others.iter();
        executions.chain(
            others.map(|(bytes, record)| (Key { table: Table::Live, bytes: bytes.clone() }, record.encode())),
        )
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
        self.lanes.settings(namespace, lane).unwrap_or(&self.unset)
    }

    /// Where it is written down what attempts under a path have cost, by kind.
    pub(crate) fn estimates(&self, namespace: &str, path: &str) -> impl Iterator<Item = Key> {
        let prefix = crate::key::estimate(namespace, path, "").bytes;
        let known = self.others.range::<[u8], _>((Included(&prefix[..]), Unbounded));
        let known = known.take_while(move |(bytes, _)| bytes.starts_with(&prefix));
        known.map(|(bytes, _)| Key { table: Table::Live, bytes: bytes.clone() })
    }

    /// Records that are not executions, whose key begins with `kind`.
    pub(crate) fn others(&self, kind: u8) -> impl Iterator<Item = (&Bytes, &Record)> {
        self.others.range::<[u8], _>((Included(&[kind][..]), Excluded(&[kind + 1][..])))
    }

    /// One record that is not an execution.
    pub(crate) fn other(&self, key: &Key) -> Option<&Record> {
        self.others.get(&key.bytes)
    }

    /// Messages under way, by peer and in the order of their chains.
    pub fn outgoing(&self) -> impl Iterator<Item = (PartitionId, &crate::model::Link)> {
        self.others(b'o').filter_map(|(key, record)| match (key.get(1), record) {
            (Some(peer), Record::Link(link)) => Some((PartitionId(*peer), &**link)),
            _ => None,
        })
    }

    /// Peers that there is a chain to or from; those with both come twice.
    pub fn chained(&self) -> impl Iterator<Item = PartitionId> {
        let chains = self.others(b's').chain(self.others(b'r'));
        chains.filter_map(|(key, _)| key.get(1).copied().map(PartitionId))
    }

    /// Executions that wait (scheduled or ready) in a lane here.
    pub fn lane_length(&self, namespace: &str, lane: &str) -> u64 {
        self.lanes.waiting(namespace, lane)
    }

    /// Lanes with a maximum, by the settings known here, with how much waits in them here.
    pub fn limited_lanes(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let copies = self
            .others(b'l')
            .filter(|(_, record)| matches!(record, Record::Lane(settings) if settings.max_length.is_some()));
        let names = copies.filter_map(|(key, _)| key::lane_name(b'l', key));
        names.map(|(namespace, lane)| (namespace, lane, self.lane_length(namespace, lane)))
    }

    /// Lanes that hold waiting work here, with how much.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.lanes.all_waiting()
    }

    /// The last tag of a fairness key among open executions of the group's lane.
    pub(crate) fn last_tag(&self, group: &Group, fairness_key: &str) -> Option<i64> {
        self.lanes.last_tag(group, fairness_key)
    }

    /// Different groups with open executions in a lane.
    pub(crate) fn groups_in(&self, namespace: &str, lane: &str) -> usize {
        self.lanes.groups(namespace, lane)
    }

    /// All groups that have ready work, with how much and the best order; paused lanes are left out.
    pub fn ready(&self) -> impl Iterator<Item = ReadyGroup> {
        self.lanes.offers()
    }

    /// One group's ready work; none if its lane is paused.
    pub fn ready_in(&self, group: &Arc<Group>) -> Option<ReadyGroup> {
        self.lanes.offer(group)
    }

    /// As [`Partition::ready_in`], without what is out of time though its timer has not run yet: no claim starts that. A group
    /// with more than [`LATE_MAX`] of such before its first startable execution is passed over until their timers have run.
    pub fn startable_in(&self, group: &Arc<Group>, now: Millis) -> Option<ReadyGroup> {
        let offer = self.lanes.offer(group)?;
        if self.next_due().is_none_or(|due| due > now) {
            return Some(offer);
        }
        let mut first = self.lanes.ready(group)?.iter().take(LATE_MAX + 1).enumerate();
        let (late, (best, _)) = first.find(|(_, (_, id))| self.is_in_time(*id, now))?;
        Some(ReadyGroup { best, count: offer.count - late, ..offer })
    }

    /// Whether the clock has nothing to do with an execution.
    pub(crate) fn is_in_time(&self, id: ExecutionId, now: Millis) -> bool {
        let due = self.execution(id).map(|execution| execution.next_due(self.able_since));
        due.is_some_and(|due| due.is_none_or(|due| due > now))
    }

    /// All groups of a lane, whether or not it starts work.
    pub(crate) fn groups_of(&self, namespace: &str, lane: &str) -> impl Iterator<Item = &Arc<Group>> {
        self.lanes.in_lane(namespace, lane).map(|(group, _)| group)
    }

    /// Groups of which some execution has asked for its permits and has not got all.
    pub fn groups_asking(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.lanes.asking()
    }

    /// All groups of a lane with their ready work; none if it is paused.
    pub(crate) fn startable(
        &self,
        namespace: &str,
        lane: &str,
    ) -> impl Iterator<Item = (&Arc<Group>, &Ready)> {
        self.lanes.startable(namespace, lane)
    }

    /// A group's ready work, whether or not its lane starts any.
    pub(crate) fn ready_work(&self, group: &Group) -> Option<&Ready> {
        self.lanes.ready(group)
    }

    /// How many of its group come before an execution; counts no further than `most`.
    pub(crate) fn ahead_of(&self, execution: &Execution, most: usize) -> usize {
        let ready = self.lanes.ready(&execution.group);
        ready.map_or(0, |ready| ready.ahead_of(execution.order, execution.id, most))
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

    /// The earliest instant at which the clock has something to do with a budget.
    pub fn budgets_next_due(&self) -> Option<Millis> {
        self.budgets.next_due()
    }

    /// What is due for budgets at or before `now`, earliest first, at most `limit`.
    pub(crate) fn budgets_due(&self, now: Millis, limit: usize) -> Vec<Due> {
        self.budgets.due(now, limit)
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

    /// The group equal to `group` that open executions already share, or `group`.
    pub(crate) fn shared_group(&self, group: Group) -> Arc<Group> {
        self.lanes.shared(&group).cloned().unwrap_or_else(|| Arc::new(group))
    }

    /// Whether open executions have this very group.
    pub(crate) fn has_group(&self, group: &Group) -> bool {
        self.lanes.shared(group).is_some()
    }

    /// The policy equal to `policy` that executions already share, or a new one.
    pub(crate) fn shared_policy(&self, policy: &Policy) -> Arc<Policy> {
        self.policies.shared(policy).cloned().unwrap_or_else(|| Arc::new(policy.clone()))
    }

    /// Settings of the lanes that are at home here.
    pub(crate) fn lane_homes(&self) -> impl Iterator<Item = (&str, &str, &LaneSettings)> {
        self.others(b'h').filter_map(|(key, record)| match record {
            Record::LaneHome(home) => {
                key::lane_name(b'h', key).map(|(namespace, lane)| (namespace, lane, &home.settings))
            }
            _ => None,
        })
    }

    /// An action on many executions.
    pub fn bulk(&self, namespace: &str, id: BulkId) -> Option<&BulkJob> {
        match self.others.get(&key::bulk(id).bytes) {
            Some(Record::Bulk(job)) => Some(&**job).filter(|job| *job.filter.namespace == *namespace),
            _ => None,
        }
    }

    /// All of them.
    pub fn bulks(&self) -> impl Iterator<Item = &BulkJob> {
        self.others(b'b').filter_map(|(_, record)| match record {
            Record::Bulk(job) => Some(&**job),
            _ => None,
        })
    }

    /// Lanes of which this partition holds a copy of the settings.
    pub(crate) fn lane_copies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others(b'l').filter_map(|(key, _)| key::lane_name(b'l', key))
    }

    fn put_execution(&mut self, id: ExecutionId, after: Option<Box<Execution>>) -> Option<Box<Execution>> {
        let before = self.executions.remove(&id);
        let mut emptied = false;
        if let Some(before) = &before {
            self.timers.remove(before.next_due(self.able_since), id);
            self.running.remove(before);
            self.spenders.remove(before);
            emptied = self.lanes.remove(before);
        }
        if let Some(mut after) = after {
            self.policies.share(&mut after.policy);
            self.lanes.insert(&mut after);
            self.timers.insert(after.next_due(self.able_since), id);
            self.running.insert(&after);
            self.spenders.insert(&after);
            if let Some(shelves) = &mut self.shelves {
                shelves.put(id, before.as_deref(), Some(&after));
            }
            self.executions.insert(id, after);
        } else if let Some(shelves) = &mut self.shelves {
            shelves.put(id, before.as_deref(), None);
        }
        if let Some(before) = before.as_deref().filter(|_| emptied) {
            self.lanes.tidy(&before.group);
        }
        before
    }
}

/// Two projections are equal if their records and every index are; of shelves, where both have them.
impl PartialEq for Partition {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.executions == other.executions
            && self.others == other.others
            && self.lanes == other.lanes
            && self.timers == other.timers
            && self.running == other.running
            && self.budgets == other.budgets
            && self.spenders == other.spenders
            && self.able_since == other.able_since
            && self.shelves_agree(other)
    }
}
