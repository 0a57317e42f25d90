//! Nodes: whether they are seen to live, and what level they bring partitions to.

use std::collections::BTreeMap;

use stint_store::{Head, PARTITIONS, PartitionId};

use super::Checker;
use crate::invariant::Invariant;

/// A node that was not heard for so long is taken for dead by the others.
const DEAD_MS: u64 = 6_000;

/// See the module.
#[derive(Default)]
pub(super) struct Nodes {
    /// When a node's last heartbeat was taken.
    spoke: BTreeMap<usize, u64>,
}

impl Checker {
    /// A node's heartbeat was taken.
    pub(crate) fn spoke(&mut self, node: usize) {
        let now = self.now_ms();
        self.nodes.spoke.insert(node, now);
    }

    /// At rest, a node that runs has lately been heard.
    pub(crate) fn is_heard(&mut self, node: usize) {
        let spoke = self.nodes.spoke.get(&node).copied().unwrap_or(0);
        let silent_ms = self.now_ms().saturating_sub(spoke);
        if silent_ms >= DEAD_MS {
            self.found(Invariant::Heard, format!("n{node} lives, and was not heard for {silent_ms} ms"));
        }
    }

    /// At rest, whatever was written since every node knows a level is of that level.
    pub(crate) fn is_at_level(&mut self, level: u32) {
        let heads = (0..PARTITIONS).map(|p| (p, self.store.head(PartitionId(p))));
        let behind: Vec<u8> = heads
            .filter(|(_, head)| *head != Head::default() && head.level != level)
            .map(|(partition, _)| partition)
            .collect();
        if !behind.is_empty() {
            let what = format!("every node knows level {level}, these partitions stay behind: {behind:?}");
            self.found(Invariant::LevelRises, what);
        }
    }
}
