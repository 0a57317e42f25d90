//! A Txn collects what commands change until it is committed or undone; [`Inputs`] is what comes in with a command.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Millis;
use crate::event::Event;
use crate::ids::ExecutionId;
use crate::key::{Key, Table};
use crate::model::{Group, Record};
use crate::partition::Partition;
use std::sync::Arc;

/// What is known of a cold or ordered key at the head in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColdRead {
    /// It has this value.
    Present(Bytes),
    /// There is no such key.
    Absent,
    /// Nobody has read it: the command answers [`Refusal::Cold`](crate::Refusal::Cold) and is run again with it.
    Unread,
}

/// Cold and ordered records as of the store's expected head plus the batch in flight.
pub trait ColdReads {
    /// What is known of `key`.
    fn read(&self, key: &Key) -> ColdRead;
}

/// What comes in with a command besides the command.
pub struct Inputs<'a> {
    /// The partition's clock; never runs back.
    pub now: Millis,
    /// Grows with every command of a partition's life: orders what happens in one millisecond.
    pub sequence: u64,
    /// A number that was never used before: ids of messages follow from it.
    pub fresh: u64,
    /// Cold records read for it.
    pub cold: &'a dyn ColdReads,
    /// How many executions of a lane (namespace, name) wait in other partitions, as far as this node knows. Only asked
    /// about lanes that have a maximum.
    pub lane_length_elsewhere: &'a dyn Fn(&str, &str) -> u64,
    /// Whether what the clock owes an execution failed so often that it is not tried any more.
    pub quarantined: &'a dyn Fn(ExecutionId) -> bool,
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
}

/// What a live record and its key mostly take: they are encoded only when the batch closes.
const LIVE_BYTES: usize = 128;

fn weight(key: &Key, value: &Option<Bytes>) -> usize {
    key.bytes.len() + value.as_ref().map_or(0, Bytes::len)
}

/// How far a Txn had come; see [`Txn::mark`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    live: usize,
    cold: usize,
    absent: usize,
    events: usize,
    ready: usize,
}

/// A point in a Txn's life.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint(pub(crate) Mark);

/// Everything that commands changed since the last commit, and how to undo it.
#[derive(Default, Debug)]
pub struct Txn {
    /// Live keys in the order they were put, with what stood there before.
    live: Vec<(Key, Option<Record>)>,
    /// Cold and ordered keys in the order they were put, with what this Txn had there before.
    cold_before: Vec<(Key, Option<Option<Bytes>>)>,
    cold: BTreeMap<Key, Option<Bytes>>,
    cold_bytes: usize,
    absent: Vec<Key>,
    events: Vec<Event>,
    ready: Vec<Arc<Group>>,
}

impl Txn {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.cold.is_empty() && self.events.is_empty()
    }

    /// Keys changed so far, at most.
    pub fn puts(&self) -> usize {
        self.live.len() + self.cold.len()
    }

    /// Bytes so far, nearly: cold keys and values as they are, live records at what they mostly take.
    pub fn bytes(&self) -> usize {
        self.cold_bytes + self.live.len() * LIVE_BYTES
    }

    /// What happened, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Keys that the commit must find absent.
    pub fn absent(&self) -> &[Key] {
        &self.absent
    }

    /// Groups whose ready work changed, since the last call.
    pub fn take_ready(&mut self) -> Vec<Arc<Group>> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort();
        ready.dedup();
        ready
    }

    /// What this Txn knows of a cold key.
    pub fn cold(&self, key: &Key) -> Option<&Option<Bytes>> {
        self.cold.get(key)
    }

    /// The cold and ordered writes.
    pub fn cold_writes(&self) -> impl Iterator<Item = (&Key, &Option<Bytes>)> {
        self.cold.iter()
    }

    /// Every key's final value, each key once; a live key that came and went within this Txn is left out.
    pub fn writes(&self, partition: &Partition) -> Vec<Write> {
        let mut first: BTreeMap<&Key, &Option<Record>> = BTreeMap::new();
        for (key, before) in &self.live {
            first.entry(key).or_insert(before);
        }
        let live = first.into_iter().filter_map(|(key, before)| {
            let value = partition.encoded(key).map(Bytes::from);
            (before.is_some() || value.is_some()).then(|| Write { key: key.clone(), value })
        });
        let cold = self.cold.iter().map(|(key, value)| Write { key: key.clone(), value: value.clone() });
        live.chain(cold).collect()
    }

    /// Takes everything back: the projection is as it was before the Txn's first command. Groups that
    /// [`Txn::take_ready`] has given away stand differently again, and nobody is told.
    pub fn undo(&mut self, partition: &mut Partition) {
        self.undo_to(Mark { live: 0, cold: 0, absent: 0, events: 0, ready: 0 }, partition);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            live: self.live.len(),
            cold: self.cold_before.len(),
            absent: self.absent.len(),
            events: self.events.len(),
            ready: self.ready.len(),
        }
    }

    /// A point that [`undo_panicked`](crate::command::undo_panicked) can go back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.mark())
    }

    pub(crate) fn undo_to(&mut self, mark: Mark, partition: &mut Partition) {
        while self.live.len() > mark.live {
            if let Some((key, before)) = self.live.pop() {
                partition.put(&key, before);
            }
        }
        while self.cold_before.len() > mark.cold {
            if let Some((key, before)) = self.cold_before.pop() {
                let after = self.cold.get(&key);
                self.cold_bytes -= after.map_or(0, |value| weight(&key, value));
                self.cold_bytes += before.as_ref().map_or(0, |value| weight(&key, value));
                match before {
                    Some(value) => self.cold.insert(key, value),
                    None => self.cold.remove(&key),
                };
            }
        }
        self.absent.truncate(mark.absent);
        self.events.truncate(mark.events);
        self.ready.truncate(mark.ready);
    }

    pub(crate) fn put_live(&mut self, partition: &mut Partition, key: Key, record: Option<Record>) {
        debug_assert_eq!(key.table, Table::Live);
        let before = partition.put(&key, record);
        self.live.push((key, before));
    }

    pub(crate) fn put_cold(&mut self, key: Key, value: Option<Bytes>) {
        debug_assert_ne!(key.table, Table::Live);
        self.cold_bytes += weight(&key, &value);
        let before = self.cold.insert(key.clone(), value);
        self.cold_bytes -= before.as_ref().map_or(0, |value| weight(&key, value));
        self.cold_before.push((key, before));
    }

    pub(crate) fn assert_absent(&mut self, key: Key) {
        self.absent.push(key);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(crate) fn touch(&mut self, group: &Arc<Group>) {
        // Most batches are about few groups: the latest know this one already.
        if !self.ready.iter().rev().take(8).any(|known| Arc::ptr_eq(known, group)) {
            self.ready.push(group.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::{Command, Submit, undo_panicked};

    fn submit(bed: &mut Bed, txn: &mut Txn) {
        let items = vec![bed.submission()];
        bed.run_in(txn, &Command::Submit(Submit { items })).unwrap();
    }

    #[test]
    fn a_savepoint_keeps_what_came_before_it() {
        let mut bed = Bed::new();
        let mut txn = Txn::default();
        submit(&mut bed, &mut txn);
        let (writes, bytes) = (txn.writes(&bed.partition), txn.bytes());
        let before = txn.savepoint();
        submit(&mut bed, &mut txn);
        assert_eq!((bed.partition.len(), txn.puts(), txn.events().len()), (2, 4, 2));
        undo_panicked(&mut bed.partition, &mut txn, before);
        assert_eq!((bed.partition.len(), txn.puts(), txn.events().len()), (1, 2, 1));
        assert_eq!((txn.writes(&bed.partition), txn.bytes()), (writes, bytes));
    }

    #[test]
    fn groups_are_named_once_and_then_no_more() {
        let mut bed = Bed::new();
        let mut txn = Txn::default();
        for _ in 0..3 {
            submit(&mut bed, &mut txn);
        }
        assert_eq!(txn.take_ready().len(), 1);
        assert!(txn.take_ready().is_empty());
        submit(&mut bed, &mut txn);
        assert_eq!(txn.take_ready().len(), 1);
    }

    #[test]
    fn a_key_written_twice_is_committed_once() {
        let mut bed = Bed::new();
        let mut txn = Txn::default();
        let key = crate::key::spec(bed.fresh_id());
        let before = txn.savepoint();
        txn.put_cold(key.clone(), Some(Bytes::from_static(b"first")));
        let middle = txn.savepoint();
        txn.put_cold(key.clone(), None);
        assert_eq!(txn.writes(&bed.partition), [Write { key: key.clone(), value: None }]);
        undo_panicked(&mut bed.partition, &mut txn, middle);
        assert_eq!(txn.cold(&key), Some(&Some(Bytes::from_static(b"first"))));
        undo_panicked(&mut bed.partition, &mut txn, before);
        assert!(txn.is_empty() && txn.bytes() == 0);
    }
}
