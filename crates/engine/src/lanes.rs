//! How long lanes with a maximum are in each partition, so that every partition can hold to the sum.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use stint_core::PartitionId;

type Lengths = BTreeMap<(Arc<str>, Arc<str>), BTreeMap<PartitionId, u64>>;

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct LaneLengths {
    /// Whether any lane has a maximum: mostly none has, and nothing is to be looked up.
    any: AtomicBool,
    lengths: Mutex<Lengths>,
}

impl LaneLengths {
    /// Takes the lengths of a partition's lanes that have a maximum.
    pub(crate) fn tell(&self, partition: PartitionId, lanes: &[(&str, &str, u64)]) {
        if lanes.is_empty() && !self.any.load(Relaxed) {
            return;
        }
        self.any.store(true, Relaxed);
        let mut lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        lengths.values_mut().for_each(|lane| _ = lane.remove(&partition));
        for (namespace, lane, length) in lanes {
            lengths.entry(((*namespace).into(), (*lane).into())).or_default().insert(partition, *length);
        }
        lengths.retain(|_, lane| !lane.is_empty());
    }

    /// How much of a lane waits in other partitions.
    pub(crate) fn elsewhere(&self, partition: PartitionId, namespace: &str, lane: &str) -> u64 {
        if !self.any.load(Relaxed) {
            return 0;
        }
        let lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lengths.get(&(namespace.into(), lane.into()));
        let others = lane.into_iter().flatten().filter(|(other, _)| **other != partition);
        others.map(|(_, length)| length).sum()
    }
}
