//! Chains between partitions are compared now and then, in both directions: a partition may have lost writes that no
//! running node remembers, and what it should hold of others would be missing for good. Where nothing is wrong this
//! commits nothing; on a store that others write to it costs a look at the head of a partition that has chains.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use futures_util::future::BoxFuture;
use stint_core::{Millis, PARTITIONS, PartitionId};

use super::{Scanned, Scanner};
use crate::node::Shared;
use crate::partition::Message;

/// How often a partition's chains are compared.
const EVERY_MS: Millis = 60_000;

/// See the module.
pub(super) struct Audit {
    shared: Arc<Shared>,
    /// When each partition had its last turn.
    turns: Vec<AtomicI64>,
}

impl Audit {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = shared.clock.now();
        Self { shared, turns: (0..PARTITIONS).map(|_| AtomicI64::new(now)).collect() }
    }

    fn turn(&self, partition: PartitionId) -> Option<&AtomicI64> {
        self.turns.get(usize::from(partition.0))
    }
}

impl Scanner for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn filter(&self, partition: PartitionId, now: Millis) -> bool {
        self.turn(partition).is_some_and(|turn| turn.load(Relaxed).saturating_add(EVERY_MS) <= now)
    }

    fn next(&self) -> Millis {
        let earliest = self.turns.iter().map(|turn| turn.load(Relaxed)).min();
        earliest.map_or(Millis::MAX, |turn| turn.saturating_add(EVERY_MS))
    }

    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned> {
        if let Some(turn) = self.turn(partition) {
            turn.store(now, Relaxed);
        }
        self.shared.send(partition, Message::Audit);
        Box::pin(std::future::ready(Scanned::default()))
    }
}
