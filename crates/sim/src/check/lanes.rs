//! Paused lanes: once a pause is acknowledged by all partitions, nothing starts until a resume is asked for.

use std::collections::BTreeMap;

use stint_core::ExecutionId;
use stint_core::command::SetLane;
use stint_store::PartitionId;

use super::Checker;
use crate::invariant::Invariant;

/// See the module.
#[derive(Default)]
pub(super) struct Lanes {
    /// Since when a pause counts.
    paused: BTreeMap<(String, String), u64>,
}

impl Checker {
    /// A pause was acknowledged, and no partition is missing.
    pub(crate) fn lane_paused(&mut self, namespace: &str, lane: &str) {
        // What was committed before the acknowledgement is not its concern.
        self.look();
        let now = self.now_ms();
        self.lanes.paused.insert((namespace.to_owned(), lane.to_owned()), now);
    }

    /// Something that may end the pause is about to be asked for.
    pub(crate) fn lane_resumes(&mut self, namespace: &str, lane: &str) {
        self.look();
        self.lanes.paused.remove(&(namespace.to_owned(), lane.to_owned()));
    }

    /// The store says that something started.
    pub(super) fn leased_in(&mut self, id: ExecutionId, namespace: &str, lane: &str) {
        let Some(since) = self.lanes.paused.get(&(namespace.to_owned(), lane.to_owned())).copied() else {
            return;
        };
        let lost_at = |partition| self.watched(PartitionId(partition)).and_then(|watched| watched.lost_at_ms);
        // What the home says counts, also if it is what stood there before the pause, which it has lost.
        let home_forgot = lost_at(SetLane::home(namespace, lane).0).is_some_and(|lost_at| lost_at >= since);
        if !home_forgot && lost_at(id.partition().0).is_none() {
            let what = format!("{id} was leased in lane {lane} after its pause was acknowledged");
            self.found(Invariant::PausedStartsNothing, what);
        }
    }
}
