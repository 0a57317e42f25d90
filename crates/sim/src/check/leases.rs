//! Leases: who was told to hold one, who works under one, and what a lease is still good for.

use std::collections::{BTreeMap, BTreeSet};

use stint_core::{ExecutionId, LeaseRef, LeaseToken};

use super::Checker;
use super::history::Phase;
use crate::invariant::Invariant;

/// A handler that runs, by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RunId(u64);

/// What a lease is good for, by what is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It holds.
    Valid,
    /// Its execution ended under it.
    Last,
    /// It is no longer, or never was, good for anything.
    Stale,
    /// A rollback touched its execution, or nothing is known of it.
    Unsure,
}

/// See the module.
#[derive(Default)]
pub(super) struct Leases {
    /// Who was given which lease.
    given: BTreeMap<(ExecutionId, u32), Given>,
    /// The last lease of an execution that a worker heard of.
    heard: BTreeMap<(String, ExecutionId), u32>,
    /// Ends that were said under a lease while it was good.
    said: BTreeSet<(String, String)>,
    runs: BTreeMap<RunId, Run>,
    next: u64,
}

struct Given {
    token: LeaseToken,
    worker: String,
}

/// A handler at work.
struct Run {
    id: ExecutionId,
    epoch: u32,
    worker: String,
    /// Its process stood still meanwhile, so it can't know what its lease is worth.
    stood_still: bool,
    since_ms: u64,
}

impl Checker {
    /// A worker hears of a lease.
    pub(crate) fn lease_heard(&mut self, worker: &str, lease: &str) {
        let Ok(lease) = lease.parse::<LeaseRef>() else {
            return self.found(Invariant::ReplyCommitted, format!("{worker} was given a malformed lease"));
        };
        let id = lease.execution;
        self.look();
        let committed = self.seen(id).is_some_and(|seen| seen.life.epoch >= lease.epoch);
        if !committed && !self.may_be_lost(id, 0) {
            let what = format!("{worker} was given epoch {} of {id}, which was never committed", lease.epoch);
            self.found(Invariant::ReplyCommitted, what);
        }
        self.leases.heard.insert((worker.to_owned(), id), lease.epoch);
        let given = Given { token: lease.token, worker: worker.to_owned() };
        let before = self.leases.given.insert((id, lease.epoch), given);
        if let Some(before) = before
            && (before.worker != worker || before.token != lease.token)
            && !self.is_tainted(id)
        {
            let what =
                format!("epoch {} of {id} was given to {} and to {worker}", lease.epoch, before.worker);
            self.found(Invariant::OneLease, what);
        }
    }

    /// A handler starts.
    pub(crate) fn run_started(&mut self, worker: &str, id: &str) -> RunId {
        self.leases.next += 1;
        let run = RunId(self.leases.next);
        let Ok(id) = id.parse::<ExecutionId>() else { return run };
        let epoch = self.leases.heard.get(&(worker.to_owned(), id)).copied().unwrap_or(0);
        let twin = self
            .leases
            .runs
            .values()
            .find(|other| other.id == id && other.epoch == epoch && !other.stood_still);
        if let Some(twin) = twin
            && !self.is_tainted(id)
        {
            let what = format!("epoch {epoch} of {id} runs at {} and at {worker}", twin.worker);
            self.found(Invariant::OneLease, what);
        }
        let since_ms = self.now_ms();
        let started = Run { id, epoch, worker: worker.to_owned(), stood_still: false, since_ms };
        self.leases.runs.insert(run, started);
        run
    }

    /// A handler is gone, whatever the way.
    pub(crate) fn run_ended(&mut self, run: RunId) {
        self.leases.runs.remove(&run);
    }

    /// A worker's process stands still: it can't know what its leases are worth when it goes on.
    pub(crate) fn stood_still(&mut self, worker: &str) {
        for run in self.leases.runs.values_mut().filter(|run| run.worker == worker) {
            run.stood_still = true;
        }
    }

    /// Execution, epoch, start, and whether its worker stood still meanwhile.
    pub(super) fn run(&self, run: RunId) -> Option<(ExecutionId, u32, u64, bool)> {
        self.leases.runs.get(&run).map(|run| (run.id, run.epoch, run.since_ms, run.stood_still))
    }

    /// The store says that a lease ran out: nobody may still believe in it.
    pub(super) fn crashed(&mut self, id: ExecutionId, epoch: u32) {
        if self.clock_jumps || self.is_tainted(id) {
            return;
        }
        let believer = self
            .leases
            .runs
            .values()
            .find(|run| run.id == id && run.epoch == epoch && !run.stood_still)
            .map(|run| run.worker.clone());
        if let Some(worker) = believer {
            let what = format!("epoch {epoch} of {id} ran out while {worker} still worked under it");
            self.found(Invariant::OneLease, what);
        }
    }

    pub(super) fn leases_said(&mut self, lease: String, word: String) {
        self.leases.said.insert((lease, word));
    }

    pub(super) fn was_said(&self, lease: &str, word: &str) -> bool {
        self.leases.said.contains(&(lease.to_owned(), word.to_owned()))
    }

    /// What a lease is good for now.
    pub(crate) fn standing(&mut self, lease: &str) -> Standing {
        let Ok(lease) = lease.parse::<LeaseRef>() else { return Standing::Stale };
        self.look();
        let id = lease.execution;
        if self.is_tainted(id) {
            return Standing::Unsure;
        }
        let Some(seen) = self.seen(id) else { return Standing::Stale };
        let is_last = seen.life.epoch == lease.epoch && seen.token == Some(lease.token);
        match seen.life.phase {
            Phase::Running if is_last => Standing::Valid,
            Phase::Ended if is_last => Standing::Last,
            _ => Standing::Stale,
        }
    }

    /// The lease that now holds an execution, as a planted bug needs it.
    pub(crate) fn present_lease(&mut self, stale: &str) -> Option<String> {
        let lease = stale.parse::<LeaseRef>().ok()?;
        self.look();
        let seen = self.seen(lease.execution)?;
        let token = seen.token.filter(|_| seen.life.phase == Phase::Running)?;
        Some(LeaseRef { execution: lease.execution, epoch: seen.life.epoch, token }.to_string())
    }
}
