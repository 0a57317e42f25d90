//! Paused lanes: once a pause is acknowledged by all partitions, nothing starts until a resume is asked for.

use std::collections::BTreeSet;

use stint_core::ExecutionId;

use super::Checker;
use crate::invariant::Invariant;

/// See the module.
#[derive(Default)]
pub(super) struct Lanes {
    paused: BTreeSet<(String, String)>,
}

impl Checker {
    /// A pause was acknowledged, and no partition is missing.
    pub(crate) fn lane_paused(&mut self, namespace: &str, lane: &str) {
        // What was committed before the acknowledgement is not its concern.
        self.look();
        self.lanes.paused.insert((namespace.to_owned(), lane.to_owned()));
    }

    /// Something that may end the pause is about to be asked for.
    pub(crate) fn lane_resumes(&mut self, namespace: &str, lane: &str) {
        self.look();
        self.lanes.paused.remove(&(namespace.to_owned(), lane.to_owned()));
    }

    /// The store says that something started.
    pub(super) fn leased_in(&mut self, id: ExecutionId, namespace: &str, lane: &str) {
        let rolled_back = self
            .watched(stint_store::PartitionId(id.partition().0))
            .is_some_and(|watched| watched.lost_at_ms.is_some());
        if self.lanes.paused.contains(&(namespace.to_owned(), lane.to_owned())) && !rolled_back {
            let what = format!("{id} was leased in lane {lane} after its pause was acknowledged");
            self.found(Invariant::PausedStartsNothing, what);
        }
    }
}
