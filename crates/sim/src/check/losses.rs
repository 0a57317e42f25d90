//! Lost writes: what the store confirmed and then forgot may be gone, but somebody must notice.

use std::collections::{BTreeMap, BTreeSet};

use stint_core::{EventKind, event};
use stint_store::PartitionId;

use super::Checker;
use crate::invariant::Invariant;

/// See the module.
#[derive(Default)]
pub(super) struct Losses {
    /// The newest commit of a partition that a running node was told is kept.
    confirmed: BTreeMap<(usize, PartitionId), u64>,
    /// Losses that somebody must notice.
    expected: BTreeMap<PartitionId, Loss>,
    /// Partitions that lost something of which no running node knew.
    blind: BTreeSet<PartitionId>,
}

struct Loss {
    timeline: u64,
    /// Nodes that know better than the store.
    witnesses: BTreeSet<usize>,
    /// The store says itself that it is another one, so that even a node that knows nothing must notice.
    store_says: bool,
}

impl Checker {
    /// A node was told that its commit is kept.
    pub(crate) fn confirmed(&mut self, node: usize, partition: PartitionId, version: u64) {
        self.losses.confirmed.insert((node, partition), version);
    }

    /// A node's memory is gone.
    pub(crate) fn node_died(&mut self, node: usize) {
        self.losses.confirmed.retain(|(other, _), _| *other != node);
        for (partition, loss) in &mut self.losses.expected {
            if loss.witnesses.remove(&node) && loss.witnesses.is_empty() {
                self.losses.blind.insert(*partition);
            }
        }
    }

    /// Takes the last `n` commits of a partition back; how many were.
    pub(crate) fn lose(&mut self, partition: PartitionId, n: usize, store_says: bool) -> usize {
        self.look_at(partition);
        let before = self.store.head(partition);
        let lost = self.store.lose(partition, n);
        if lost == 0 {
            return 0;
        }
        let after = self.store.head(partition);
        self.take_as_is(partition);
        let witnesses: BTreeSet<usize> = self
            .losses
            .confirmed
            .iter()
            .filter(|((_, p), version)| *p == partition && **version > after.version)
            .map(|((node, _), _)| *node)
            .collect();
        if witnesses.is_empty() && !store_says {
            self.losses.blind.insert(partition);
        }
        if self.losses.expected.get(&partition).is_some_and(|loss| before.timeline > loss.timeline) {
            // The one before was noticed, and what said so may be lost now.
            self.losses.expected.remove(&partition);
        }
        let loss = self.losses.expected.entry(partition).or_insert_with(|| Loss {
            timeline: before.timeline,
            witnesses: BTreeSet::new(),
            store_says,
        });
        // A node that has noticed before has started a timeline of its own, which may be lost as well.
        loss.timeline = loss.timeline.min(after.timeline);
        loss.witnesses.extend(witnesses);
        loss.store_says |= store_says;
        lost
    }

    /// Whether a partition may have lost what nobody can know of any more.
    pub(super) fn may_be_blind(&self, partition: PartitionId) -> bool {
        self.losses.blind.contains(&partition)
    }

    /// At the end: whether every loss that somebody could see was said.
    pub(super) fn losses_were_seen(&mut self) {
        let unseen: Vec<String> = self
            .losses
            .expected
            .iter()
            .filter(|(_, loss)| loss.store_says || !loss.witnesses.is_empty())
            .filter_map(|(partition, loss)| {
                let dump = self.store.dump(*partition);
                let said = dump.ordered.iter().filter(|(key, _)| key.first() == Some(&b'g')).any(|(_, log)| {
                    event::decode_log(log)
                        .is_ok_and(|events| events.iter().any(|e| e.kind == EventKind::WritesLost))
                });
                let is_new = dump.head.timeline > loss.timeline;
                (!said || !is_new).then(|| {
                    format!(
                        "partition {} lost confirmed commits; said: {said}, timeline {} after {}, witnesses {:?}",
                        partition.0, dump.head.timeline, loss.timeline, loss.witnesses
                    )
                })
            })
            .collect();
        for what in unseen {
            self.found(Invariant::LossSeen, what);
        }
    }
}
