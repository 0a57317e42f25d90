//! Messages between partitions: chains of links, taken in order, each exactly once.

use super::context::Context;
use super::{Outcome, Refusal, lane};
use crate::ids::PartitionId;
use crate::key;
use crate::model::{ChainFrom, ChainTo, Link, Message, Record};

/// Take messages from another partition.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The sender.
    pub from: PartitionId,
    /// Links of its chain, in order.
    pub links: Vec<Link>,
}

/// How far the receiver is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliverAnswer {
    /// The chain it follows.
    pub chain: u64,
    /// The last link it has taken.
    pub sequence: u64,
    /// Whether the sender's chain is not the one it knows: both must start anew.
    pub diverged: bool,
}

impl Deliver {
    /// Takes the next links; knows older ones; answers where it is if one is missing.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = key::chain_from(self.from);
        let before = match context.partition.other(&at) {
            Some(Record::ChainFrom(chain)) => chain.clone(),
            _ => ChainFrom::default(),
        };
        let mut chain = before.clone();
        let mut diverged = false;
        for link in &self.links {
            if link.chain > chain.chain && link.sequence == 1 {
                chain = ChainFrom { chain: link.chain, sequence: 0, id: 0 };
            }
            if link.chain < chain.chain || link.sequence < chain.sequence {
                continue;
            }
            if link.chain > chain.chain {
                // A chain whose beginning we never saw: its sender has dropped it, or it is still under way.
                diverged = true;
                break;
            }
            if link.sequence == chain.sequence {
                diverged |= link.id != chain.id;
                continue;
            }
            if link.sequence > chain.sequence + 1 {
                break;
            }
            if link.previous != chain.id {
                diverged = true;
                break;
            }
            match &link.message {
                Message::Lane { namespace, lane, settings } => {
                    lane::copy(context, namespace, lane, settings);
                }
                Message::Lanes { names } => lane::keep_only(context, self.from, names),
            }
            chain.sequence = link.sequence;
            chain.id = link.id;
        }
        let answer = DeliverAnswer { chain: chain.chain, sequence: chain.sequence, diverged };
        if chain != before {
            context.put_record(at, Some(Record::ChainFrom(chain)));
        }
        Ok(Outcome::Delivered(answer))
    }
}

/// Drop the messages that a peer has taken; start the chain anew if the peer knows another one.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// The receiver.
    pub peer: PartitionId,
    /// What it answered.
    pub answer: DeliverAnswer,
    /// A random number from which ids of a new chain follow.
    pub id: u64,
}

impl Acknowledge {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = key::chain_to(self.peer);
        let Some(Record::ChainTo(before)) = context.partition.other(&at).cloned() else {
            return Ok(Outcome::Done);
        };
        // A peer that is behind what was dropped, or ahead of what was sent, follows another history than ours.
        let same = self.answer.chain == before.chain;
        let gap =
            same && (self.answer.sequence < before.acknowledged || self.answer.sequence > before.sequence);
        if self.answer.diverged || gap || self.answer.chain > before.chain {
            self.resync(context, &before);
        } else if same && self.answer.sequence > before.acknowledged {
            for sequence in before.acknowledged + 1..=self.answer.sequence {
                context.put_record(key::outgoing(self.peer, sequence), None);
            }
            let chain = ChainTo { acknowledged: self.answer.sequence, ..before };
            context.put_record(at, Some(Record::ChainTo(chain)));
        }
        Ok(Outcome::Done)
    }

    /// A new chain that carries everything the peer should hold of ours.
    fn resync(&self, context: &mut Context<'_>, before: &ChainTo) {
        for sequence in before.acknowledged + 1..=before.sequence {
            context.put_record(key::outgoing(self.peer, sequence), None);
        }
        let chain = before.chain.max(self.answer.chain) + 1;
        let fresh = ChainTo { chain, ..ChainTo::default() };
        context.put_record(key::chain_to(self.peer), Some(Record::ChainTo(fresh)));
        let homes = context.partition.lane_homes();
        let homes: Vec<_> = homes.map(|(n, l, s)| (n.to_owned(), l.to_owned(), s.clone())).collect();
        let names = homes.iter().map(|(namespace, lane, _)| (namespace.clone(), lane.clone())).collect();
        send(context, self.peer, Message::Lanes { names }, self.id);
        for (namespace, lane, settings) in homes {
            send(context, self.peer, Message::Lane { namespace, lane, settings }, self.id);
        }
    }
}

/// Puts a message into the outbox, as the next link of the chain to `peer`.
pub(super) fn send(context: &mut Context<'_>, peer: PartitionId, message: Message, id: u64) {
    let at = key::chain_to(peer);
    let mut chain = match context.partition.other(&at) {
        Some(Record::ChainTo(chain)) => chain.clone(),
        _ => ChainTo { chain: 1, ..ChainTo::default() },
    };
    let sequence = chain.sequence + 1;
    // Never 0, which stands for "none before".
    let id = id.wrapping_add(sequence).max(1);
    let link = Link { sequence, id, previous: chain.id, chain: chain.chain, message };
    chain.sequence = sequence;
    chain.id = id;
    context.put_record(key::outgoing(peer, sequence), Some(Record::Link(Box::new(link))));
    context.put_record(at, Some(Record::ChainTo(chain)));
}
