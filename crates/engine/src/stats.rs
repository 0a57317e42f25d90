//! Counters of a node, for metrics and the bench.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use stint_store::Counters;

/// What a node has done since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeStats {
    /// Commands that ran in committed batches.
    pub commands: u64,
    /// Batches committed.
    pub commits: u64,
    /// Puts and deletes committed.
    pub writes: u64,
    /// Commits that another node's came before.
    pub conflicts: u64,
    /// Commands of the largest batch.
    pub largest_batch: u64,
    /// Open executions.
    pub live: u64,
    /// Commands that are not answered yet; a batch counts as its items, and every KiB of an input as one more.
    pub in_flight: u64,
    /// Partitions that are served.
    pub partitions_open: u32,
    /// Timers that failed for good.
    pub quarantined: u64,
    /// The store's own.
    pub store: Counters,
}

#[derive(Default, Debug)]
pub(crate) struct Tally {
    commands: AtomicU64,
    commits: AtomicU64,
    writes: AtomicU64,
    conflicts: AtomicU64,
    largest_batch: AtomicU64,
    quarantined: AtomicU64,
}

impl Tally {
    pub(crate) fn committed(&self, commands: usize, writes: usize) {
        self.commands.fetch_add(commands as u64, Relaxed);
        self.commits.fetch_add(1, Relaxed);
        self.writes.fetch_add(writes as u64, Relaxed);
        self.largest_batch.fetch_max(commands as u64, Relaxed);
    }

    pub(crate) fn conflict(&self) {
        self.conflicts.fetch_add(1, Relaxed);
    }

    pub(crate) fn quarantined(&self) {
        self.quarantined.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(
        &self,
        live: u64,
        in_flight: usize,
        partitions_open: u32,
        store: Counters,
    ) -> NodeStats {
        NodeStats {
            commands: self.commands.load(Relaxed),
            commits: self.commits.load(Relaxed),
            writes: self.writes.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            largest_batch: self.largest_batch.load(Relaxed),
            live,
            in_flight: in_flight as u64,
            partitions_open,
            quarantined: self.quarantined.load(Relaxed),
            store,
        }
    }
}
