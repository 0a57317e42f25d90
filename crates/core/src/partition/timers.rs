//! What the clock has to do, and when: one entry per execution, its earliest.

use std::collections::BTreeSet;

use crate::Millis;
use crate::ids::ExecutionId;

#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Timers(BTreeSet<(Millis, ExecutionId)>);

impl Timers {
    pub(super) fn insert(&mut self, at: Option<Millis>, id: ExecutionId) {
        if let Some(at) = at {
            self.0.insert((at, id));
        }
    }

    pub(super) fn remove(&mut self, at: Option<Millis>, id: ExecutionId) {
        if let Some(at) = at {
            self.0.remove(&(at, id));
        }
    }

    pub(super) fn due(&self, now: Millis, limit: usize) -> Vec<ExecutionId> {
        self.0.iter().take_while(|(at, _)| *at <= now).take(limit).map(|(_, id)| *id).collect()
    }

    pub(super) fn next(&self) -> Option<Millis> {
        self.0.first().map(|(at, _)| *at)
    }
}
