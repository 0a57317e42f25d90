//! A batch is closed and sent; what leaves when it is committed.

use std::sync::Arc;
use std::time::Duration;

use stint_core::Millis;
use stint_core::command::Outcome;
use stint_store::{Batch, Head};
use tokio::time::Instant;

use super::Actor;
use super::batch::{How, InFlight, Open, Settled, check, commit};
use super::job::{Job, Ran, To};
use super::told::told;

/// A commit that takes longer than this counts as a time in which no heartbeat could be taken.
const BLOCKED: Duration = Duration::from_secs(1);

impl Actor {
    /// Closes the open batch and sends it, if none is in flight. A batch without writes needs no commit: its answers
    /// leave at once if nobody else can have written, else as soon as the store says that nobody has.
    pub(super) fn close(&mut self) {
        if self.settling.is_some() || self.open.is_empty() && !self.suspect {
            return;
        }
        if self.rest.is_some() && self.open.ran.is_empty() && !self.suspect {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let store = self.shared.store.clone();
        self.batches += 1;
        if !open.writes_any() {
            if store.exclusive() && open.txn.absent().is_empty() && !self.suspect {
                self.in_flight = Some(self.flight(open, false));
                // A claim that was sent again writes nothing, and still has leases to carry.
                self.begin_to_carry();
                if let Some(mut flight) = self.in_flight.take() {
                    self.carry_on(&mut flight);
                    self.leave(flight.open);
                }
                self.shared.asks(self.id, None);
                return;
            }
            let absent = open.txn.absent().iter().map(|k| (super::table(k.table), k.bytes.clone())).collect();
            self.settling = Some(Box::pin(check(store, self.id, self.head, absent)));
            self.suspect = false;
            self.in_flight = Some(self.flight(open, false));
            self.begin_to_carry();
            return;
        }
        let version = self.head.version + 1;
        let encoded = open.encode(&self.projection, version, self.now);
        let next = Head {
            timeline: self.head.timeline + u64::from(open.new_timeline),
            version,
            nonce: self.shared.random.number(),
            committer: self.shared.myself.node,
            now_ms: self.now,
            level: self.head.level.max(self.shared.level.get()),
        };
        let mut flight = self.flight(open, true);
        flight.writes = encoded.writes.len();
        flight.events = encoded.events;
        flight.links = encoded.links;
        flight.trim_at = encoded.trim_at;
        flight.log_bytes = encoded.log_bytes;
        let batch = Arc::new(Batch {
            next,
            incarnation: self.shared.myself.incarnation,
            writes: encoded.writes,
            absent: encoded.absent,
        });
        flight.batch = Some(batch.clone());
        self.settling = Some(Box::pin(commit(store, self.id, self.head, batch)));
        self.suspect = false;
        self.in_flight = Some(flight);
        self.begin_to_carry();
    }

    fn flight(&self, open: Open, commit: bool) -> InFlight {
        let since = Instant::now();
        self.shared.asks(self.id, Some(since));
        InFlight {
            number: self.batches,
            open,
            events: Vec::new(),
            links: Vec::new(),
            trim_at: Millis::MAX,
            log_bytes: 0,
            commit,
            batch: None,
            writes: 0,
            since,
            carried: Vec::new(),
            beyond: Vec::new(),
            carrying: false,
            journaled: Vec::new(),
        }
    }

    /// Whether a commit takes so long that no heartbeat could be taken meanwhile.
    pub(super) fn blocked(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.since.elapsed() > BLOCKED)
    }

    /// Goes on from how a commit or a check ended.
    pub(super) async fn settled(&mut self, settled: Settled) {
        let since = self.in_flight.as_ref().map_or_else(Instant::now, |flight| flight.since);
        self.shared.asks(self.id, None);
        self.hung = false;
        self.now = self.floor.now(&self.shared.clock);
        if settled.troubled {
            self.shared.tally.troubled();
        }
        match settled.how {
            How::Committed(head) => self.committed(head),
            How::Conflict => self.conflicted().await,
            How::Present(keys) => {
                let jobs = self.undo();
                self.restate();
                self.run_again(jobs, &keys);
            }
            How::Full => self.full(),
            How::Fatal(reason) => return self.fail(&reason),
        }
        // Catching up counts as well: nobody was heard meanwhile.
        if settled.troubled || since.elapsed() > BLOCKED {
            self.now = self.floor.now(&self.shared.clock);
            self.projection.set_able_since(self.now);
        }
    }

    fn committed(&mut self, head: Head) {
        let Some(mut flight) = self.in_flight.take() else { return };
        self.head = head;
        if flight.commit {
            self.made = Some(head);
            if let Some(batch) = &flight.batch {
                self.tees.retain(|tee| tee.committed(batch));
            }
            if self.shared.config.peers.is_some() {
                self.shared.elsewhere.is_here(self.id);
            }
            for (key, value) in flight.open.txn.cold_writes() {
                self.recent.wrote(key, value);
                if let Some(read) = &mut self.reading {
                    read.overlay(key, value, head.version);
                }
            }
            self.shared.committed(self.id, flight.open.ran.len(), flight.writes, self.projection.len());
            self.shared.tally.happened(flight.since.elapsed(), &flight.events);
            told(&flight.events);
            self.shared.trims.written(self.id, flight.trim_at, flight.log_bytes);
            self.shared.waiters.publish(self.id, &flight.events);
            self.outbox.committed(std::mem::take(&mut flight.links));
            self.tell_lanes();
        }
        if flight.open.new_timeline {
            self.shared.renewed.add(self.id);
            self.shared.tally.timeline_begun();
            // Why was said where it was found: once for a store that was replaced or restored, else by the partition.
            tracing::info!(partition = self.id.0, timeline = head.timeline, "a new timeline begins");
        }
        self.carry_on(&mut flight);
        self.leave(flight.open);
    }

    /// Tells other partitions how long the lanes with a maximum are here.
    pub(super) fn tell_lanes(&self) {
        let limited: Vec<(&str, &str, u64)> = self.projection.limited_lanes().collect();
        self.shared.lanes.tell(self.id, &limited);
    }

    /// Answers what ran in a batch that is committed, or needed no commit.
    fn leave(&mut self, open: Open) {
        let mut counted = 0;
        for Ran { job, answer } in open.ran {
            counted += job.weight();
            match (job, answer) {
                // Callers may have gone.
                (Job::Run { to: To::Caller(reply), .. }, Some(answer)) => _ = reply.send(answer),
                (Job::Look(look), _) => look.answer(None),
                (Job::Run { to: To::Peer(peer), .. }, answer) => {
                    if matches!(answer, Some(Ok(Outcome::Restarted(_)))) {
                        self.recharge(peer);
                    }
                    self.acknowledged(peer);
                }
                _ => {}
            }
        }
        self.shared.answered(self.id, counted);
    }
}
