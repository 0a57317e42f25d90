//! What a command works with: the projection, the Txn, and its inputs.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Refusal;
use crate::Millis;
use crate::event::{Event, EventKind};
use crate::ids::{ExecutionId, LeaseRef, PartitionId};
use crate::key::{self, Key};
use crate::model::{ArchiveRecord, Execution, Group, Message, Move, Record};
use crate::partition::Partition;
use crate::txn::{ColdRead, Inputs, Txn};

pub(super) struct Context<'a> {
    pub(super) partition: &'a mut Partition,
    txn: &'a mut Txn,
    inputs: &'a Inputs<'a>,
    /// What this partition tells itself, as it would tell another: done when the command is.
    notes: VecDeque<Message>,
    /// Who says what is being done: a message's sender.
    from: Option<PartitionId>,
}

impl<'a> Context<'a> {
    pub(super) fn new(partition: &'a mut Partition, txn: &'a mut Txn, inputs: &'a Inputs<'a>) -> Self {
        Self { partition, txn, inputs, notes: VecDeque::new(), from: None }
    }

    pub(super) fn now(&self) -> Millis {
        self.inputs.now
    }

    pub(super) fn sequence(&self) -> u64 {
        self.inputs.sequence
    }

    /// A number that was never used before.
    pub(super) fn fresh(&self) -> u64 {
        self.inputs.fresh
    }

    /// Keeps a message of this partition to itself.
    pub(super) fn note(&mut self, message: Message) {
        self.notes.push_back(message);
    }

    /// The next of those messages, in order.
    pub(super) fn next_note(&mut self) -> Option<Message> {
        self.notes.pop_front()
    }

    /// Who says what is being done.
    pub(super) fn from(&self) -> Option<PartitionId> {
        self.from
    }

    pub(super) fn set_from(&mut self, from: PartitionId) {
        self.from = Some(from);
    }

    pub(super) fn lane_length_elsewhere(&self, group: &Group) -> u64 {
        (self.inputs.lane_length_elsewhere)(&group.namespace, &group.lane)
    }

    pub(super) fn is_quarantined(&self, id: ExecutionId) -> bool {
        (self.inputs.quarantined)(id)
    }

    /// The running execution under this lease, to be changed.
    pub(super) fn leased(&self, lease: &LeaseRef) -> Result<Execution, Refusal> {
        let execution = self.partition.execution(lease.execution).ok_or(Refusal::LeaseLost)?;
        execution.leased_as(lease).ok_or(Refusal::LeaseLost)?;
        Ok(execution.clone())
    }

    /// The attempt that runs under this lease.
    pub(super) fn leased_attempt(&self, lease: &LeaseRef) -> Result<u32, Refusal> {
        let execution = self.partition.execution(lease.execution).ok_or(Refusal::LeaseLost)?;
        execution.leased_as(lease).map(|_| execution.attempt).ok_or(Refusal::LeaseLost)
    }

    /// An open execution of this namespace, to be changed.
    pub(super) fn open(&self, namespace: &str, id: ExecutionId) -> Option<Execution> {
        self.partition.execution(id).filter(|e| &*e.group.namespace == namespace).cloned()
    }

    /// An ended execution of this namespace.
    pub(super) fn archived(&self, namespace: Option<&str>, id: ExecutionId) -> Result<Execution, Refusal> {
        let bytes = self.read(&key::archive(id))?.ok_or(Refusal::NotFound(id))?;
        let execution = ArchiveRecord::decode(id, &bytes).map_err(|e| Refusal::Corrupt(e.to_string()))?;
        match namespace {
            Some(namespace) if &*execution.group.namespace != namespace => Err(Refusal::NotFound(id)),
            _ => Ok(execution),
        }
    }

    /// A cold or ordered record as it stands with this Txn.
    pub(super) fn read(&self, key: &Key) -> Result<Option<Bytes>, Refusal> {
        if let Some(value) = self.txn.cold(key) {
            return Ok(value.clone());
        }
        match self.inputs.cold.read(key) {
            ColdRead::Present(value) => Ok(Some(value)),
            ColdRead::Absent => Ok(None),
            ColdRead::Unread => Err(Refusal::Cold(vec![key.clone()])),
        }
    }

    /// Whether a key is known to stand; if nobody has read it, the commit asserts that it does not.
    pub(super) fn present_or_assert_absent(&mut self, key: &Key) -> bool {
        match self.read(key) {
            Ok(value) => value.is_some(),
            Err(_) => {
                self.txn.assert_absent(key.clone());
                false
            }
        }
    }

    /// Reads and decodes a record.
    pub(super) fn decode<T>(&self, key: &Key) -> Result<Option<T>, Refusal>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        self.read(key)?
            .map(|bytes| minicbor::decode(&bytes).map_err(|e| Refusal::Corrupt(e.to_string())))
            .transpose()
    }

    pub(super) fn put_cold(&mut self, key: Key, value: impl Into<Bytes>) {
        self.txn.put_cold(key, Some(value.into()));
    }

    pub(super) fn delete_cold(&mut self, key: Key) {
        self.txn.put_cold(key, None);
    }

    pub(super) fn put_record(&mut self, key: Key, record: Option<Record>) {
        self.txn.put_live(self.partition, key, record);
    }

    /// Makes a move the table allows; one it does not is a defect of the calling command.
    pub(super) fn step(&self, execution: &mut Execution, step: Move) -> Result<(), Refusal> {
        let from = execution.state();
        if execution.step(step) {
            return Ok(());
        }
        debug_assert!(false, "{step:?} from {from:?}");
        Err(if from.is_end() { Refusal::Finished(from) } else { Refusal::NotFinished(from) })
    }

    /// Puts an open execution back with a transition noted.
    pub(super) fn put(&mut self, mut execution: Execution, kind: EventKind) {
        if kind != EventKind::Submitted {
            execution.note(self.now(), kind);
        }
        self.event(&execution, kind);
        self.put_silently(execution);
    }

    /// Puts an open execution back; nothing happened that anybody must hear of.
    pub(super) fn put_silently(&mut self, execution: Execution) {
        self.txn.touch(&execution.group);
        self.put_record(key::execution(execution.id), Some(Record::Execution(Box::new(execution))));
    }

    /// Takes an execution out of the live records.
    pub(super) fn remove(&mut self, execution: &Execution) {
        self.txn.touch(&execution.group);
        self.put_record(key::execution(execution.id), None);
    }

    pub(super) fn event(&mut self, execution: &Execution, kind: EventKind) {
        let at = self.now();
        self.txn.event(Event::of(at, kind, execution.id, execution.attempt));
    }

    /// A lane's groups may be claimed now, or no longer.
    pub(super) fn touch_lane(&mut self, namespace: &str, lane: &str) {
        for group in self.partition.groups_of(namespace, lane) {
            self.txn.touch(group);
        }
    }

    pub(super) fn event_of_partition(&mut self, kind: EventKind) {
        let at = self.now();
        self.txn.event(Event::own(at, kind));
    }

    /// Something happened to a budget.
    pub(super) fn event_of_budget(&mut self, namespace: &str, path: &str, kind: EventKind) {
        let at = self.now();
        let budget = Some(format!("{namespace}\0{path}").into());
        self.txn.event(Event { budget, ..Event::own(at, kind) });
    }

    /// Gives an execution that has become ready for the first time, or anew, its place: now or its key's turn, whichever
    /// is later, less what its priority is worth.
    pub(super) fn enqueue(&self, execution: &mut Execution) {
        let now = self.now();
        let settings = self.partition.lane(&execution.group.namespace, &execution.group.lane);
        execution.tag = match &mut execution.fair {
            None => now,
            Some(fair) => {
                let now_us = now.saturating_mul(1_000);
                let last = self.partition.last_tag(&execution.group, &fair.key);
                let turn = last.map(|last| last.saturating_add(settings.turn_us(&fair.key)));
                fair.tag = turn.map_or(now_us, |turn| now_us.max(turn));
                fair.tag / 1_000
            }
        };
        execution.place(settings.age_step());
    }
}
