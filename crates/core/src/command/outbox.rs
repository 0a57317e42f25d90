//! The outbox: what this partition tells others, each message a link behind the one before.

use super::context::Context;
use crate::ids::PartitionId;
use crate::key;
use crate::model::{ChainTo, Link, Message, Record};

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
