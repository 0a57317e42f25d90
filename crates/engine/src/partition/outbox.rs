//! Messages to other partitions: committed links go to the peer in order, one delivery per peer at a time.
//!
//! What a peer has taken is remembered here and not sent again; the links are dropped later, many at once, beside what is written
//! anyway. If that memory is lost they are sent again, and the peer knows them.

use std::collections::BTreeMap;
use std::time::Duration;

use stint_core::command::{Acknowledge, Deliver, DeliverAnswer, Outcome};
use stint_core::model::Link;
use stint_core::{Command, PartitionId};

use super::batch::ChangedLink;
use super::job::{Job, To};
use super::{Actor, Errand};
use crate::CallError;

/// Links of one delivery.
const LINKS_MAX: usize = 100;

/// A delivery that failed, or brought nothing forward, is tried again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// A delivery that panics so often is quarantined.
const FAILURES_MAX: u32 = 3;

/// So many links that a peer has taken are dropped with the next batch.
const TAKEN_MAX: u64 = 16;

/// Where nothing else is written they are dropped after this time.
const DROPPED: Duration = Duration::from_millis(500);

/// The committed links, and what is being done about them.
#[derive(Default)]
pub(super) struct Outbox {
    links: BTreeMap<(PartitionId, u64), Link>,
    peers: BTreeMap<PartitionId, Peer>,
    /// An errand is under way that drops what was taken.
    dropping: bool,
}

#[derive(Clone, Copy, Default)]
struct Peer {
    /// A delivery is under way, or an answer is not committed yet that has to be before anything else is sent.
    busy: bool,
    /// Deliver even if there is nothing to send, to learn what the peer knows.
    compare: bool,
    /// What was sent last.
    sent: Option<Sent>,
    /// The last link of which the peer has said that it took it: those up to it are still here.
    taken: Option<Taken>,
    failures: u32,
}

/// The links of a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent {
    chain: u64,
    first: u64,
    last: u64,
}

#[derive(Clone, Copy)]
struct Taken {
    chain: u64,
    sequence: u64,
    id: u64,
    /// Links that it is ahead of those dropped.
    links: u64,
}

/// The answer to a delivery.
pub(super) struct Delivered {
    peer: PartitionId,
    answer: Result<DeliverAnswer, CallError>,
}

impl Peer {
    /// Whether an answer says nothing but how much of what was sent is taken.
    fn only_took(&self, answer: &DeliverAnswer) -> bool {
        self.sent.is_some_and(|sent| {
            !answer.diverged
                && answer.chain == sent.chain
                && answer.sequence + 1 >= sent.first
                && answer.sequence <= sent.last
        })
    }
}

impl Outbox {
    /// Takes all links as committed.
    pub(super) fn restate<'a>(&mut self, links: impl Iterator<Item = (PartitionId, &'a Link)>) {
        self.links = links.map(|(peer, link)| ((peer, link.sequence), link.clone())).collect();
        for (peer, _) in self.links.keys() {
            self.peers.entry(*peer).or_default();
        }
        // Another node may have begun a chain anew, or dropped what was taken.
        for (peer, state) in &mut self.peers {
            let first = self.links.range((*peer, 0)..=(*peer, u64::MAX)).next();
            let is_same = |taken: &Taken| first.is_some_and(|(_, link)| link.chain == taken.chain);
            state.taken = state.taken.filter(is_same);
        }
    }

    /// Takes what a committed batch changed.
    pub(super) fn committed(&mut self, links: Vec<ChangedLink>) {
        for (place, link) in links {
            self.peers.entry(place.0).or_default();
            match link {
                Some(link) => _ = self.links.insert(place, link),
                None => _ = self.links.remove(&place),
            }
        }
    }

    /// Asks the peer what it knows, at the next occasion.
    pub(super) fn compare(&mut self, peer: PartitionId) {
        self.peers.entry(peer).or_default().compare = true;
    }

    /// The first link that is not dropped.
    fn first(&self, peer: PartitionId) -> Option<&Link> {
        self.links.range((peer, 0)..=(peer, u64::MAX)).next().map(|(_, link)| link)
    }

    /// What the peer has not taken yet.
    fn to(&self, peer: PartitionId, taken: Option<Taken>) -> Vec<Link> {
        let chain = self.first(peer).map(|first| first.chain);
        let after = taken.filter(|taken| Some(taken.chain) == chain).map_or(0, |taken| taken.sequence);
        let left = self.links.range((peer, after + 1)..=(peer, u64::MAX));
        left.take(LINKS_MAX).map(|(_, link)| link.clone()).collect()
    }
}

impl Actor {
    /// Sends what is committed to every peer that is not being sent to.
    pub(super) fn send_out(&mut self) {
        if self.outbox.peers.is_empty() {
            return;
        }
        let idle: Vec<(PartitionId, Peer)> = self
            .outbox
            .peers
            .iter()
            .filter(|(_, state)| !state.busy)
            .map(|(peer, state)| (*peer, *state))
            .collect();
        for (peer, state) in idle {
            let links = self.outbox.to(peer, state.taken);
            if links.is_empty() && !state.compare {
                if self.outbox.first(peer).is_none() {
                    self.outbox.peers.remove(&peer);
                }
                continue;
            }
            let sent = links.first().zip(links.last()).map(|(first, last)| Sent {
                chain: first.chain,
                first: first.sequence,
                last: last.sequence,
            });
            let is_again = |sent: Sent| {
                state.sent.is_some_and(|last| (last.chain, last.first) == (sent.chain, sent.first))
            };
            let pause = state.failures > 0 || sent.is_some_and(is_again);
            self.outbox.peers.insert(peer, Peer { busy: true, compare: false, sent, ..state });
            let shared = self.shared.clone();
            let from = self.id;
            self.errands.push(Box::pin(async move {
                if pause {
                    tokio::time::sleep(AGAIN).await;
                }
                let answer = shared.transport.deliver(&shared, peer, Deliver { from, links }).await;
                Errand::Delivered(Delivered { peer, answer })
            }));
        }
    }

    /// A peer has answered.
    pub(super) fn delivered(&mut self, delivered: Delivered) {
        let Delivered { peer, answer } = delivered;
        let state = self.outbox.peers.entry(peer).or_default();
        match answer {
            Ok(answer) => {
                state.failures = 0;
                if state.only_took(&answer) {
                    state.busy = false;
                    self.took(peer, &answer);
                } else {
                    // A chain that begins anew says again what is not known to be taken.
                    self.drop_taken_by(peer);
                    self.acknowledge(peer, answer, To::Peer(peer));
                }
            }
            Err(error) => {
                state.failures += 1;
                if error != CallError::Internal || state.failures < FAILURES_MAX {
                    state.busy = false;
                } else {
                    self.shared.tally.messages_quarantined();
                    tracing::error!(
                        partition = self.id.0,
                        peer = peer.0,
                        "messages to this peer failed three times: quarantined until the next start"
                    );
                }
            }
        }
    }

    fn acknowledge(&mut self, peer: PartitionId, answer: DeliverAnswer, to: To) {
        let id = self.shared.random.number();
        self.accept(Job::run(Command::Acknowledge(Acknowledge { peer, answer, id }), to));
    }

    /// The answer of a peer is committed, or taken back: what is left may be sent.
    pub(super) fn acknowledged(&mut self, peer: PartitionId) {
        if let Some(state) = self.outbox.peers.get_mut(&peer) {
            state.busy = false;
        }
    }

    /// Remembers what a peer has taken, and has it dropped some time.
    fn took(&mut self, peer: PartitionId, answer: &DeliverAnswer) {
        let first = self.outbox.first(peer).map(|first| first.sequence);
        let Some(state) = self.outbox.peers.get_mut(&peer) else { return };
        let DeliverAnswer { chain, sequence, id, .. } = *answer;
        let links = first.map_or(0, |first| (sequence + 1).saturating_sub(first));
        if links == 0 {
            return;
        }
        state.taken = Some(Taken { chain, sequence, id, links });
        if !self.outbox.dropping {
            self.outbox.dropping = true;
            self.errands.push(Box::pin(async {
                tokio::time::sleep(DROPPED).await;
                Errand::DropTaken
            }));
        }
    }

    /// Drops what peers have taken.
    pub(super) fn drop_taken(&mut self) {
        self.outbox.dropping = false;
        self.drop_taken_beyond(1);
    }

    /// Something is written: what has gathered is dropped with it.
    pub(super) fn drop_beside(&mut self) {
        if self.outbox.dropping && self.settling.is_none() && self.open.writes_any() && self.open.has_room() {
            self.drop_taken_beyond(TAKEN_MAX);
        }
    }

    fn drop_taken_beyond(&mut self, links: u64) {
        let enough = |state: &Peer| state.taken.is_some_and(|taken| taken.links >= links);
        let peers: Vec<PartitionId> =
            self.outbox.peers.iter().filter(|(_, state)| enough(state)).map(|(peer, _)| *peer).collect();
        peers.into_iter().for_each(|peer| self.drop_taken_by(peer));
    }

    fn drop_taken_by(&mut self, peer: PartitionId) {
        let taken =
            self.outbox.peers.get(&peer).and_then(|state| state.taken).filter(|taken| taken.links > 0);
        let Some(Taken { chain, sequence, id, .. }) = taken else { return };
        if let Some(state) = self.outbox.peers.get_mut(&peer) {
            // Its links are still here until the batch is committed: they are not sent again.
            state.taken = Some(Taken { chain, sequence, id, links: 0 });
        }
        self.acknowledge(peer, DeliverAnswer { chain, sequence, id, diverged: false }, To::Nobody);
    }
}

/// How deliveries reach the partition they are for.
pub(crate) trait Transport: Send + Sync {
    /// Hands links over; the answer comes when they are committed.
    fn deliver<'a>(
        &'a self,
        shared: &'a crate::node::Shared,
        to: PartitionId,
        deliver: Deliver,
    ) -> futures_util::future::BoxFuture<'a, Result<DeliverAnswer, CallError>>;
}

/// Within one node: the peer's mailbox.
pub(crate) struct Local;

impl Transport for Local {
    fn deliver<'a>(
        &'a self,
        shared: &'a crate::node::Shared,
        to: PartitionId,
        deliver: Deliver,
    ) -> futures_util::future::BoxFuture<'a, Result<DeliverAnswer, CallError>> {
        Box::pin(async move {
            match shared.call(to, Command::Deliver(deliver)).await? {
                Outcome::Delivered(answer) => Ok(answer),
                _ => Err(CallError::Internal),
            }
        })
    }
}
