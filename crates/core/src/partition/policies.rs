//! Policies in use: equal ones stand in memory once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::Policy;

/// Those that nobody uses any more are forgotten when the set has doubled.
#[derive(Default, Debug)]
pub(super) struct Policies {
    used: BTreeSet<Arc<Policy>>,
    sweep_at: usize,
}

/// Fewer are not worth a sweep.
const SWEEP_MIN: usize = 1_000;

impl Policies {
    pub(super) fn shared(&self, policy: &Policy) -> Option<&Arc<Policy>> {
        self.used.get(policy)
    }

    pub(super) fn share(&mut self, policy: &mut Arc<Policy>) {
        if let Some(shared) = self.used.get(policy) {
            *policy = shared.clone();
            return;
        }
        if self.used.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.used.retain(|policy| Arc::strong_count(policy) > 1);
            self.sweep_at = self.used.len() * 2;
        }
        self.used.insert(policy.clone());
    }
}
