//! How much is in a lane, for people.

use std::sync::Arc;

use super::Partition;
use crate::Millis;

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
    /// All lanes with open executions: namespace, name, what they hold, and since when the longest-waiting of those that are
    /// next in line has been ready (each group's best is looked at). The cost follows the lanes and their groups.
    pub fn census(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, LaneCounts, Option<Millis>)> {
        self.lanes.all().map(|(namespace, lane, best)| {
            let due = best
                .filter_map(|id| self.execution(id))
                .map(|execution| execution.due_at.max(execution.submitted_at))
                .min();
            (namespace, lane, self.lane_counts(namespace, lane), due)
        })
    }

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
