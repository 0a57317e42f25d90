//! The checker: watches the store after every step and what was acknowledged, and compares.
//!
//! It sees a commit when the store's seam tells it to look, so it knows every state that was ever committed.
//! Whatever a client or worker hears is compared with these states at the moment it is heard.
//!
//! A rollback of the store is announced by whoever injects it: what it touched is *tainted* and may be lost, but the
//! loss must be seen.

mod copies;
mod doubts;
mod heard;
pub(crate) mod history;
mod lanes;
mod latches;
mod leases;
mod losses;
mod money;
mod nodes;
mod permits;
mod rest;
mod rolled;
mod seen;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stint_core::ExecutionId;
use stint_store::memory::MemoryStore;
use stint_store::{PARTITIONS, PartitionId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::invariant::{Finding, Invariant};
use crate::plan::Plan;
use crate::plant::Plant;
pub(crate) use leases::{RunId, Standing};
use seen::Watched;

/// Findings kept; one is enough, the rest is context.
const FINDINGS_MAX: usize = 50;

/// Everything that is known of a run.
pub(crate) struct Checker {
    store: MemoryStore,
    started: Instant,
    findings: Vec<Finding>,
    /// What ends the run when it is found; nothing named is anything.
    wanted: &'static [Invariant],
    over: Arc<Notify>,
    partitions: Vec<Watched>,
    /// Executions that a rollback touched: what was said of them no longer binds.
    tainted: BTreeSet<ExecutionId>,
    /// Executions that were trimmed after their retention.
    trimmed: BTreeSet<ExecutionId>,
    /// Which execution a job was acknowledged as.
    jobs: BTreeMap<u64, ExecutionId>,
    /// What was so when an exchange was first sent, by worker and number.
    exchanges: BTreeMap<(String, u64), heard::Asked>,
    leases: leases::Leases,
    steps: steps::Steps,
    lanes: lanes::Lanes,
    losses: losses::Losses,
    money: money::Money,
    /// Whether commits are lost in this run.
    rollbacks: bool,
    nodes: nodes::Nodes,
    /// Whether the store's clock jumps, so that leases may end before their workers' clocks say so.
    clock_jumps: bool,
}

impl Checker {
    pub(crate) fn new(store: MemoryStore, plan: &Plan) -> Self {
        Self {
            store,
            started: Instant::now(),
            findings: Vec::new(),
            wanted: plan.plant.map_or(&[], Plant::breaks),
            over: Arc::default(),
            partitions: (0..PARTITIONS).map(|_| Watched::default()).collect(),
            tainted: BTreeSet::new(),
            trimmed: BTreeSet::new(),
            jobs: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            leases: leases::Leases::default(),
            steps: steps::Steps::default(),
            lanes: lanes::Lanes::default(),
            losses: losses::Losses::default(),
            money: money::Money::default(),
            rollbacks: plan.rollbacks,
            nodes: nodes::Nodes::default(),
            clock_jumps: plan.clock_jumps,
        }
    }

    /// What was found so far.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Told when enough was found.
    pub(crate) fn over(&self) -> Arc<Notify> {
        Arc::clone(&self.over)
    }

    /// Notes a breach.
    pub(crate) fn found(&mut self, invariant: Invariant, what: impl Into<String>) {
        if self.wanted.is_empty() || self.wanted.contains(&invariant) {
            self.over.notify_one();
        }
        if self.findings.len() < FINDINGS_MAX {
            let at_ms = self.now_ms();
            self.findings.push(Finding { invariant, at_ms, what: what.into() });
        }
    }

    /// Looks at every partition whose head has moved.
    pub(crate) fn look(&mut self) {
        for partition in (0..PARTITIONS).map(PartitionId) {
            self.look_at(partition);
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn is_tainted(&self, id: ExecutionId) -> bool {
        self.tainted.contains(&id)
    }
}
