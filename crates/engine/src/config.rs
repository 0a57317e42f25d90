//! How an engine is set up.

use std::sync::Arc;
use std::time::Duration;

use stint_api::Limits;
use stint_store::NodeId;
use xxhash_rust::xxh3::xxh3_64;

use crate::forward::Peers;

/// Settings of one engine. [`EngineConfig::default`] is what `stint serve` starts with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// This node's name in the store, and how others name it; two live nodes of one store have different names.
    pub node: String,
    /// Sizes that requests are held to.
    pub limits: Limits,
    /// Seeds all randomness; `None` takes it from the system. Only tests and the simulation give one.
    pub seed: Option<u64>,
    /// Commands of one partition that may wait or run at once; beyond, new work is refused. A batch counts as its items,
    /// and every KiB of an input as one more.
    pub queue_max: usize,
    /// Whether another node may serve the same store at the same time.
    pub share: bool,
    /// How often a partition looks for what other nodes did, if nothing else tells it; `None` is never.
    pub follow_every: Option<Duration>,
    /// Version of records and rules that this node knows: partitions are raised to it when every live node does.
    pub level: u32,
    /// The way to other nodes of the same store, if there are any.
    pub peers: Option<Arc<dyn Peers>>,
    /// Pause between two rounds of every scanner while there is something to do.
    pub scan_every: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            node: "node".to_owned(),
            limits: Limits::default(),
            seed: None,
            queue_max: 10_000,
            share: false,
            follow_every: None,
            level: stint_core::LEVEL,
            peers: None,
            scan_every: Duration::from_secs(1),
        }
    }
}

impl EngineConfig {
    /// The number under which a node of this name stands in the store.
    pub fn node_id(name: &str) -> NodeId {
        NodeId(xxh3_64(name.as_bytes()))
    }
}
