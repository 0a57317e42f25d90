//! Ready work of one group, best first.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Millis;
use crate::ids::ExecutionId;
use crate::model::Group;

/// A group's ready work in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyGroup {
    /// The group.
    pub group: Arc<Group>,
    /// The order of its best execution, in ms; lower is better.
    pub best: Millis,
    /// How many are ready.
    pub count: usize,
}

/// A group as long as it has open executions.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Work {
    /// Open executions, whatever their state.
    pub(super) open: usize,
    /// Those that are ready.
    pub(super) ready: Ready,
}

/// Ready executions by order.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Ready(BTreeSet<(Millis, ExecutionId)>);

impl Ready {
    pub(super) fn insert(&mut self, order: Millis, id: ExecutionId) {
        self.0.insert((order, id));
    }

    pub(super) fn remove(&mut self, order: Millis, id: ExecutionId) {
        self.0.remove(&(order, id));
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Millis, ExecutionId)> {
        self.0.iter().copied()
    }

    /// How many come before this place; counts no further than `most`.
    pub(crate) fn ahead_of(&self, order: Millis, id: ExecutionId, most: usize) -> usize {
        self.0.range(..(order, id)).take(most).count()
    }

    /// What there is to offer to claims; `None` if nothing.
    pub(super) fn offer(&self, group: &Arc<Group>) -> Option<ReadyGroup> {
        let (best, _) = self.0.first()?;
        Some(ReadyGroup { group: group.clone(), best: *best, count: self.0.len() })
    }
}
