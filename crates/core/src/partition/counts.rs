//! How much is in a lane, for people.

use super::Partition;

/// Open executions of a lane in one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneCounts {
    /// Ready, whether or not the lane starts work.
    pub ready: u64,
    /// Leased to a worker.
    pub running: u64,
    /// Waiting for their time, or held back.
    pub waiting: u64,
}

impl Partition {
    /// Counts a lane's open executions; the cost follows its groups.
    pub fn lane_counts(&self, namespace: &str, lane: &str) -> LaneCounts {
        let (open, ready) = self.lanes.counts(namespace, lane);
        // What is neither scheduled nor ready is running.
        let not_running = self.lane_length(namespace, lane);
        LaneCounts {
            ready,
            running: open.saturating_sub(not_running),
            waiting: not_running.saturating_sub(ready),
        }
    }
}
