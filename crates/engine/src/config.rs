//! How an engine is set up.

use std::time::Duration;

use stint_api::Limits;

/// Settings of one engine. [`EngineConfig::default`] is what `stint serve` starts with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// This node's name in the store, and how others name it; two live nodes of one store have different names.
    pub node: String,
    /// Sizes that requests are held to.
    pub limits: Limits,
    /// Seeds all randomness; `None` takes it from the system. Only tests and the simulation give one.
    pub seed: Option<u64>,
    /// Commands of one partition that may wait or run at once; beyond, new work is refused.
    pub queue_max: usize,
    /// Whether another node may serve the same store at the same time.
    pub share: bool,
    /// How often a partition looks for what other nodes did, if nothing else tells it; `None` is never.
    pub follow_every: Option<Duration>,
    /// Version of records and rules that this node knows.
    pub level: u32,
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
            scan_every: Duration::from_secs(1),
        }
    }
}
