//! Counters of a node, for metrics and the bench.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stint_core::{Event, EventKind};
use stint_store::Counters;

use crate::{Buckets, ScannerStats};

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
    /// Partitions whose messages to another one failed for good.
    pub messages_quarantined: u64,
    /// New timelines that began because acknowledged writes were found lost, or came from a backup.
    pub timelines_begun: u64,
    /// The store's own.
    pub store: Counters,
}

/// Bounds of commit latencies, in microseconds.
const COMMIT_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    10_000_000,
];

/// Bounds of batch sizes, in commands.
const BATCH_COMMANDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

#[derive(Debug)]
pub(crate) struct Tally {
    commands: AtomicU64,
    commits: AtomicU64,
    writes: AtomicU64,
    conflicts: AtomicU64,
    largest_batch: AtomicU64,
    quarantined: AtomicU64,
    messages_quarantined: AtomicU64,
    timelines_begun: AtomicU64,
    unsettled: AtomicU64,
    exchanges: AtomicU64,
    pub(crate) commit_us: Buckets,
    pub(crate) batch_commands: Buckets,
    /// By kind.
    events: Vec<AtomicU64>,
    scanners: Mutex<BTreeMap<&'static str, ScannerStats>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            commands: AtomicU64::default(),
            commits: AtomicU64::default(),
            writes: AtomicU64::default(),
            conflicts: AtomicU64::default(),
            largest_batch: AtomicU64::default(),
            quarantined: AtomicU64::default(),
            messages_quarantined: AtomicU64::default(),
            timelines_begun: AtomicU64::default(),
            unsettled: AtomicU64::default(),
            exchanges: AtomicU64::default(),
            commit_us: Buckets::new(COMMIT_US),
            batch_commands: Buckets::new(BATCH_COMMANDS),
            events: EventKind::ALL.iter().map(|_| AtomicU64::default()).collect(),
            scanners: Mutex::default(),
        }
    }
}

impl Tally {
    /// What became public with a commit that took so long.
    pub(crate) fn happened(&self, took: Duration, events: &[Event]) {
        self.commit_us.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        // Runs of one kind are common: one addition for each.
        for run in events.chunk_by(|a, b| a.kind == b.kind) {
            if let Some(count) = run.first().and_then(|event| self.events.get(event.kind as usize)) {
                count.fetch_add(run.len() as u64, Relaxed);
            }
        }
    }

    pub(crate) fn events(&self) -> Vec<(&'static str, u64)> {
        EventKind::ALL
            .iter()
            .zip(&self.events)
            .map(|(kind, count)| (kind.name(), count.load(Relaxed)))
            .collect()
    }

    /// A commit was not settled at the first answer.
    pub(crate) fn troubled(&self) {
        self.unsettled.fetch_add(1, Relaxed);
    }

    pub(crate) fn unsettled(&self) -> u64 {
        self.unsettled.load(Relaxed)
    }

    pub(crate) fn exchanged(&self) {
        self.exchanges.fetch_add(1, Relaxed);
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Relaxed)
    }

    /// A pass of a scanner ended.
    pub(crate) fn scanned(&self, name: &'static str, processed: usize, errors: usize) {
        let mut scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = scanners.entry(name).or_insert(ScannerStats { name, passes: 0, processed: 0, errors: 0 });
        stats.passes += 1;
        stats.processed += processed as u64;
        stats.errors += errors as u64;
    }

    pub(crate) fn scanners(&self) -> Vec<ScannerStats> {
        self.scanners.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    pub(crate) fn committed(&self, commands: usize, writes: usize) {
        self.batch_commands.record(commands as u64);
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

    pub(crate) fn messages_quarantined(&self) {
        self.messages_quarantined.fetch_add(1, Relaxed);
    }

    pub(crate) fn timeline_begun(&self) {
        self.timelines_begun.fetch_add(1, Relaxed);
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
            messages_quarantined: self.messages_quarantined.load(Relaxed),
            timelines_begun: self.timelines_begun.load(Relaxed),
            store,
        }
    }
}
