//! A claim that waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::board::Standing;
use super::{ClaimId, GrantedLease, Hub, Wanted};

/// How long a claim whose time is over waits for partitions that work on it already: a commit, as a rule.
const SETTLE: Duration = Duration::from_secs(5);

/// A registered claim. Dropping it gives back what it holds.
#[derive(Debug)]
pub struct Parked {
    hub: Arc<Hub>,
    id: ClaimId,
    wake: Arc<Notify>,
    ended: bool,
}

/// Waits for a claim's answer without holding the claim.
#[derive(Clone, Debug)]
pub struct Watch {
    hub: Arc<Hub>,
    id: ClaimId,
    wake: Arc<Notify>,
}

impl Parked {
    pub(super) fn new(hub: Arc<Hub>, id: ClaimId, wake: Arc<Notify>) -> Self {
        Self { hub, id, wake, ended: false }
    }

    /// Something to wait with while the claim itself stands elsewhere.
    pub fn watch(&self) -> Watch {
        Watch { hub: self.hub.clone(), id: self.id, wake: self.wake.clone() }
    }

    /// Waits no longer for work to come: takes what is known to be ready, and ends it. Its leases, best first.
    pub async fn settle(self) -> Vec<GrantedLease> {
        self.hub.board().stop_waiting(self.id);
        _ = timeout_at(Instant::now() + SETTLE, self.watch().answerable()).await;
        self.end()
    }

    /// As [`settle`](Self::settle), and leaves work whose permits are asked for to the next claim.
    pub async fn settle_without_asking(self) -> Vec<GrantedLease> {
        self.hub.board().leave_asking(self.id);
        self.settle().await
    }

    /// Ends it at once: its leases, best first. What partitions still work on is given back by them.
    pub fn end(mut self) -> Vec<GrantedLease> {
        self.ended = true;
        let (leases, beyond) = self.hub.board().end(self.id);
        self.hub.release(beyond);
        leases
    }

    /// A newer request of the same worker goes on with this claim, so that nothing that is under way for it is lost.
    pub fn hand_over(mut self, wanted: Wanted) -> Self {
        let wake = Arc::new(Notify::new());
        let asked = self.hub.board().hand_over(self.id, &wanted, &wake);
        match asked {
            Some(asked) => {
                self.hub.ask(asked);
                self.wake = wake;
                self
            }
            None => self.hub.park(wanted),
        }
    }
}

impl Watch {
    /// Ready when the claim has leases and no partition works on it, and when it can't get any more. May be dropped
    /// and called again.
    pub async fn answerable(&self) {
        // A permit that is stored while nobody waits is not lost, so checking first is safe.
        while self.hub.board().standing(self.id) == Standing::Waits {
            self.wake.notified().await;
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if !self.ended {
            let (leases, mut beyond) = self.hub.board().end(self.id);
            beyond.extend(leases.into_iter().map(|lease| lease.grant.lease));
            self.hub.release(beyond);
        }
    }
}
