//! A store without room: for a while after a commit that found none, the partition offers no work to claims, runs no
//! timers and sends nothing that only it wants. Else each of these would bring the next refused commit at once.

use stint_core::Millis;

use super::Actor;
use super::job::{Job, To};
use crate::CallError;

/// The rest lasts so long after the last commit that found no room.
const REST_MS: Millis = 1_000;

/// See the module.
pub(super) struct Rest {
    until: Millis,
    /// Jobs nobody waits for, such as leases that are given back: nobody would send them again.
    kept: Vec<Job>,
}

impl Rest {
    pub(super) fn until(&self) -> Millis {
        self.until
    }
}

impl Actor {
    /// There was no room: what was in the batch is refused; what ran after it runs again.
    pub(super) fn full(&mut self) {
        let after = std::mem::take(&mut self.open);
        let (refused, again) = self.undo_with(after);
        let mut kept = match self.rest.take() {
            Some(rest) => rest.kept,
            None => {
                tracing::warn!(partition = self.id.0, commands = refused.len(), "the store is full");
                Vec::new()
            }
        };
        let (unheard, heard): (Vec<Job>, Vec<Job>) =
            refused.into_iter().partition(|job| matches!(job, Job::Run { to: To::Nobody, .. }));
        kept.extend(unheard);
        self.rest = Some(Rest { until: self.now + REST_MS, kept });
        self.restate();
        heard.into_iter().for_each(|job| self.refuse(job, CallError::DiskFull));
        self.run_again(again, &[]);
    }

    /// Goes on when the rest is over.
    pub(super) fn end_rest(&mut self) {
        if let Some(rest) = self.rest.take_if(|rest| rest.until <= self.now) {
            self.restate();
            self.run_again(rest.kept, &[]);
        }
    }

    /// While the partition rests claims are to look elsewhere.
    pub(super) fn offer_nothing(&mut self) {
        self.open.txn.take_ready();
        self.asked_groups.clear();
        self.preferred.clear();
        for claim in self.answered.drain(..) {
            self.shared.hub.answered(claim, 1);
        }
        for (claim, slots) in self.unfilled.drain(..) {
            self.shared.hub.unused(claim, slots);
        }
    }
}
