//! At the end, when faults have stopped and all has come to rest.

use std::collections::BTreeMap;

use bytes::Bytes;

use stint_core::ExecutionId;
use stint_store::{PARTITIONS, PartitionId};

use super::Checker;
use super::history::Phase;
use crate::invariant::Invariant;
use crate::job::Job;

impl Checker {
    /// Executions that have not ended.
    pub(crate) fn open(&mut self) -> Vec<ExecutionId> {
        self.look();
        let open = self.all_seen().filter(|(_, seen)| seen.life.phase != Phase::Ended);
        open.map(|(id, _)| *id).collect()
    }

    /// Executions that hold still because they are paused.
    pub(crate) fn paused(&mut self) -> Vec<ExecutionId> {
        self.look();
        let held = self.all_seen().filter(|(_, seen)| seen.life.paused && seen.life.phase != Phase::Ended);
        held.map(|(id, _)| *id).collect()
    }

    /// Executions whose submission was acknowledged, and that must still be there.
    pub(crate) fn acknowledged(&self) -> Vec<ExecutionId> {
        self.jobs.values().filter(|id| !self.trimmed.contains(id)).copied().collect()
    }

    /// An acknowledged execution can't be read.
    pub(crate) fn unreadable(&mut self, id: ExecutionId, why: &str) {
        self.look();
        if !self.trimmed.contains(&id) && !self.may_be_lost(id, 0) {
            self.found(Invariant::SubmissionKept, format!("{id} can't be read in calm: {why}"));
        }
    }

    /// Messages that have not been acknowledged, by partition.
    pub(crate) fn outboxes(&self) -> BTreeMap<u8, usize> {
        (0..PARTITIONS)
            .map(|p| (p, self.store.dump(PartitionId(p))))
            .map(|(p, dump)| (p, dump.live.keys().filter(|key| key.first() == Some(&b'o')).count()))
            .filter(|(_, messages)| *messages > 0)
            .collect()
    }

    /// What the clock alone has done, by partition: executions that were trimmed, and how far ledgers are rolled up.
    pub(crate) fn tidied(&mut self) -> BTreeMap<u8, (usize, Vec<Bytes>)> {
        self.look();
        let mut tidied: BTreeMap<u8, (usize, Vec<Bytes>)> = BTreeMap::new();
        for id in &self.trimmed {
            tidied.entry(id.partition().0).or_default().0 += 1;
        }
        for partition in 0..PARTITIONS {
            let dump = self.store.dump(PartitionId(partition));
            let marks = dump.live.iter().filter(|(key, _)| key.first() == Some(&b'u'));
            tidied.entry(partition).or_default().1.extend(marks.map(|(_, mark)| mark.clone()));
        }
        tidied
    }

    /// All that must hold at rest.
    pub(crate) fn at_rest(&mut self) {
        self.look();
        self.losses_were_seen();
        let outboxes = self.outboxes();
        if !outboxes.is_empty() {
            self.found(Invariant::OutboxEmpty, format!("messages are left, by partition: {outboxes:?}"));
        }
        self.copies_agree();
        self.books_agree();
        self.jobs_are_there();
        self.jobs_are_single();
    }

    fn jobs_are_there(&mut self) {
        let lost: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, id)| {
                self.seen(**id).is_none() && !self.trimmed.contains(id) && !self.may_be_lost(**id, 0)
            })
            .map(|(number, id)| format!("job {number}, acknowledged as {id}, is gone"))
            .collect();
        for what in lost {
            self.found(Invariant::SubmissionKept, what);
        }
    }

    fn jobs_are_single(&mut self) {
        let mut by_job: BTreeMap<u64, Vec<ExecutionId>> = BTreeMap::new();
        for (id, seen) in self.all_seen() {
            if let Some(Job { job, .. }) = &seen.job {
                by_job.entry(*job).or_default().push(*id);
            }
        }
        for (job, ids) in by_job {
            if ids.len() > 1 && !ids.iter().any(|id| self.may_be_lost(*id, 0)) {
                self.found(Invariant::Idempotent, format!("job {job} was made {} times: {ids:?}", ids.len()));
            }
        }
    }
}
