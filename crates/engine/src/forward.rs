//! Forwarding: a partition that another node works on is better asked there. A call is forwarded once; whoever receives
//! it executes it.
//!
//! Ownership is only a preference: if the other node can't be reached, the same command runs here, under the same ids,
//! and compare-and-set decides.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use futures_util::future::BoxFuture;
use stint_core::{Command, PARTITIONS, PartitionId, RequestId};
use stint_store::NodeId;

use crate::partition::Answer;

/// How other nodes of the same store are reached.
pub trait Peers: fmt::Debug + Send + Sync {
    /// Runs a command at another node, which executes it itself; `None` if that node can't be reached, in which case
    /// the command may have run nevertheless.
    fn call(&self, to: NodeId, partition: PartitionId, command: Command) -> BoxFuture<'_, Option<Answer>>;
}

/// Makes a command one that does its work once, though it runs at another node and, if no answer comes, here as well.
pub(crate) fn may_come_twice(command: &mut Command, id: impl FnOnce() -> RequestId) {
    match command {
        Command::Submit(submit) => submit.items.iter_mut().for_each(|item| item.derived = true),
        Command::Replay(replay) => _ = replay.request.get_or_insert_with(id),
        Command::Log(log) => _ = log.request.get_or_insert_with(id),
        _ => {}
    }
}

/// Conflicts in a row after which the node that committed is asked instead.
const CONFLICTS: u32 = 2;

/// Who works on each partition, where it is not this node.
#[derive(Debug)]
pub(crate) struct Elsewhere(Vec<Mutex<Place>>);

#[derive(Clone, Copy, Default, Debug)]
struct Place {
    conflicts: u32,
    node: Option<NodeId>,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self((0..PARTITIONS).map(|_| Mutex::default()).collect())
    }
}

impl Elsewhere {
    /// The node to ask.
    pub(crate) fn of(&self, partition: PartitionId) -> Option<NodeId> {
        self.at(partition, |place| place.node).flatten()
    }

    /// A commit of this node came second to another's.
    pub(crate) fn conflict(&self, partition: PartitionId, committer: NodeId) {
        self.at(partition, |place| {
            place.conflicts += 1;
            if place.conflicts >= CONFLICTS {
                place.node = Some(committer);
            }
        });
    }

    /// This node can't serve the partition at all.
    pub(crate) fn is_at(&self, partition: PartitionId, committer: NodeId) {
        self.at(partition, |place| place.node = Some(committer));
    }

    /// A commit of this node went through, or the other can't be reached.
    pub(crate) fn is_here(&self, partition: PartitionId) {
        self.at(partition, |place| *place = Place::default());
    }

    fn at<T>(&self, partition: PartitionId, change: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let place = self.0.get(usize::from(partition.0))?;
        // Two plain values, whole at any moment.
        Some(change(&mut place.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
