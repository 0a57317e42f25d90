//! Messages to other partitions: committed links go to the peer in order, one delivery per peer at a time, and the
//! peer's answer drops them in this partition's next batch.

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

/// The committed links, and what is being done about them.
#[derive(Default)]
pub(super) struct Outbox {
    links: BTreeMap<(PartitionId, u64), Link>,
    peers: BTreeMap<PartitionId, Peer>,
}

#[derive(Clone, Copy, Default)]
struct Peer {
    /// A delivery is under way, or its answer is not committed yet.
    busy: bool,
    /// Deliver even if there is nothing to send, to learn what the peer knows.
    compare: bool,
    /// The first link that was sent last: one that has to be sent again is not hurried.
    sent: Option<(u64, u64)>,
    failures: u32,
}

/// The answer to a delivery.
pub(super) struct Delivered {
    peer: PartitionId,
    answer: Result<DeliverAnswer, CallError>,
}

impl Outbox {
    /// Takes all links as committed.
    pub(super) fn restate<'a>(&mut self, links: impl Iterator<Item = (PartitionId, &'a Link)>) {
        self.links = links.map(|(peer, link)| ((peer, link.sequence), link.clone())).collect();
        for (peer, _) in self.links.keys() {
            self.peers.entry(*peer).or_default();
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

    fn to(&self, peer: PartitionId) -> Vec<Link> {
        self.links.range((peer, 0)..=(peer, u64::MAX)).take(LINKS_MAX).map(|(_, link)| link.clone()).collect()
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
            let links = self.outbox.to(peer);
            if links.is_empty() && !state.compare {
                self.outbox.peers.remove(&peer);
                continue;
            }
            let first = links.first().map(|link| (link.chain, link.sequence));
            let pause = state.failures > 0 || first.is_some() && first == state.sent;
            self.outbox.peers.insert(peer, Peer { busy: true, compare: false, sent: first, ..state });
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
                let id = self.shared.random.number();
                let command = Command::Acknowledge(Acknowledge { peer, answer, id });
                self.accept(Job::run(command, To::Peer(peer)));
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

    /// The answer of a peer is committed, or taken back: what is left may be sent.
    pub(super) fn acknowledged(&mut self, peer: PartitionId) {
        if let Some(state) = self.outbox.peers.get_mut(&peer) {
            state.busy = false;
        }
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
