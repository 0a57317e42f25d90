//! A batch that can't be committed: take it back, learn what the store holds, and run its commands again.

use std::collections::BTreeSet;

use stint_core::event::decode_log;
use stint_core::{PartitionId, key};
use stint_store as store;

use super::batch::{InFlight, Open};
use super::job::{Job, Ran, To};
use super::{Actor, load};

/// Log records of other nodes that are published at once.
const LOG_ROWS: usize = 1_000;

impl Actor {
    /// Another node has written, or the store has lost what was written.
    pub(super) async fn conflicted(&mut self) {
        let jobs = self.undo();
        self.tees.drain(..).for_each(|tee| tee.broken("another node has written, or writes were lost"));
        self.reading = None;
        self.recent.clear();
        self.fetched.clear();
        self.shared.tally.conflict();
        let before = self.head;
        if !self.catch_up().await {
            // Whoever waits for them is told when the partition is closed.
            return self.inbox.first(jobs.into_iter());
        }
        self.shared.elsewhere.conflict(self.id, self.head.committer);
        self.publish_others(before).await;
        self.floor.raise(self.head.now_ms);
        self.now = self.floor.now(&self.shared.clock);
        self.look_around();
        self.run_again(jobs, &[]);
    }

    /// Takes back all that is open and in flight: the projection is as committed. Gives what is to run again, in order.
    pub(super) fn undo(&mut self) -> Vec<Job> {
        let open = std::mem::take(&mut self.open);
        let (mut jobs, after) = self.undo_with(open);
        jobs.extend(after);
        jobs
    }

    /// See [`Actor::undo`]; apart: what was in flight, and what was open.
    pub(super) fn undo_with(&mut self, mut open: Open) -> (Vec<Job>, Vec<Job>) {
        open.txn.undo(&mut self.projection);
        let in_flight = self.in_flight.take().map(|InFlight { open, .. }| open);
        let mut first = in_flight.unwrap_or_default();
        first.txn.undo(&mut self.projection);
        self.open.forget.append(&mut first.forget);
        self.open.forget.append(&mut open.forget);
        self.open.new_timeline = first.new_timeline || open.new_timeline;
        let first = self.jobs(first.ran);
        let second = self.jobs(open.ran);
        (first, second)
    }

    /// Timers come due again by themselves, and claims look for other work; all others run again.
    fn jobs(&mut self, ran: Vec<Ran>) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(ran.len());
        for Ran { job, .. } in ran {
            match job {
                Job::Run { to: To::Claim(claim, slots), .. } => self.unfilled.push((claim, slots)),
                Job::Run { to: To::Timer(id), .. } => self.timers.undone(id),
                Job::Run { to: To::Budgets, .. } => self.timers.elapse_undone(),
                job => jobs.push(job),
            }
        }
        jobs
    }

    /// Brings the projection to the store's head. False if the engine has ended.
    async fn catch_up(&mut self) -> bool {
        let mut pauses = crate::backoff::pauses();
        loop {
            if self.shared.has_failed() {
                self.ended = true;
                return false;
            }
            let id = store::PartitionId(self.id.0);
            match self.shared.store.changes(id, self.head).await {
                Ok(store::Changes::Since { rows, head }) => {
                    if let Err(reason) = load::check_level(head.level, self.shared.config.level) {
                        self.shared.elsewhere.is_at(self.id, head.committer);
                        self.unusable(&reason);
                        return false;
                    }
                    for (key, value) in rows {
                        if let Err(corrupt) = self.projection.apply(&key, value.as_deref()) {
                            self.unusable(&corrupt.to_string());
                            return false;
                        }
                    }
                    self.head = head;
                    return true;
                }
                Ok(store::Changes::TooOld) => return self.reload().await,
                Err(store::StoreError::Fatal(reason)) => {
                    self.fail(&reason);
                    return false;
                }
                Err(_) => pauses.wait().await,
            }
        }
    }

    /// Says what other nodes' batches did, as far as the log tells: who waits here must hear of it.
    async fn publish_others(&mut self, before: store::Head) {
        let range = store::Range {
            from: key::log(before.version + 1).bytes,
            to: key::log(self.head.version + 1).bytes,
            reverse: false,
            limit: LOG_ROWS,
        };
        // Who waits longer than this misses nothing: it reads again when its time is over.
        let Ok(page) = self.shared.store.range(store::PartitionId(self.id.0), range).await else { return };
        for (_, log) in page.rows {
            if let Ok(events) = decode_log(&log) {
                self.shared.waiters.publish(self.id, &events);
            }
        }
    }

    async fn reload(&mut self) -> bool {
        let able_since = self.projection.able_since();
        let (before, made) = (self.head, self.made);
        let loaded = match load::load(self.id, &self.shared).await {
            Ok(loaded) => loaded,
            Err(load::Trouble::Ended) => {
                self.ended = true;
                return false;
            }
            Err(load::Trouble::Unusable(reason)) => {
                self.unusable(&reason);
                return false;
            }
        };
        self.projection = loaded.projection;
        self.projection.set_able_since(able_since);
        self.tell_lanes();
        self.head = loaded.head;
        let behind = self.head.timeline == before.timeline && self.head.version < before.version;
        let lost = behind || self.lost(made).await;
        if lost {
            tracing::error!(
                partition = self.id.0,
                known_version = before.version,
                found_version = self.head.version,
                "acknowledged writes are lost"
            );
            self.made = None;
            self.open.new_timeline = true;
            self.compare_with_all();
        }
        true
    }

    /// Whether the last batch that this process was told is committed is no longer there. The store remembers the last
    /// batch of every node: one that looks the same but can't be applied asks for it.
    async fn lost(&mut self, made: Option<store::Head>) -> bool {
        let Some(made) = made else { return false };
        let nobody = store::Head {
            version: made.version.wrapping_sub(1),
            nonce: self.shared.random.number(),
            timeline: u64::MAX,
            ..store::Head::default()
        };
        let probe = store::Batch {
            next: made,
            incarnation: self.shared.myself.incarnation,
            writes: Vec::new(),
            absent: Vec::new(),
        };
        let probe = std::sync::Arc::new(probe);
        let mut pauses = crate::backoff::pauses();
        loop {
            let id = store::PartitionId(self.id.0);
            match self.shared.store.commit(id, nobody, probe.clone()).await {
                Ok(answer) => return !matches!(answer, store::Committed::Yes(_)),
                Err(store::StoreError::Fatal(_)) => return false,
                Err(_) => pauses.wait().await,
            }
        }
    }

    fn unusable(&mut self, reason: &str) {
        self.unusable = Some(reason.to_owned());
        self.ended = true;
    }

    /// Every peer has to look whether it and this partition know the same of each other.
    pub(super) fn compare_with_all(&mut self) {
        let here = self.id;
        self.compare_with(PartitionId::all().filter(|peer| *peer != here));
    }

    /// Compares with all peers that chains are known to or from.
    pub(super) fn audit(&mut self) {
        let peers: BTreeSet<PartitionId> = self.projection.chained().collect();
        self.compare_with(peers);
    }

    fn compare_with(&mut self, peers: impl IntoIterator<Item = PartitionId>) {
        for peer in peers {
            self.outbox.compare(peer);
            self.shared.compare(peer, self.id);
        }
    }
}
