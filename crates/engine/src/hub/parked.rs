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

impl Parked {
    pub(super) fn new(hub: Arc<Hub>, id: ClaimId, wake: Arc<Notify>) -> Self {
        Self { hub, id, wake, ended: false }
    }

    /// Waits until it can be answered with leases, or until `until`. May be dropped and called again.
    pub async fn filled(&self, until: Instant) {
        _ = timeout_at(until, self.reach(|standing| standing != Standing::Waits)).await;
    }

    /// Takes nothing new, waits for the partitions that work on it already, and ends it: its leases, best first.
    pub async fn settle(self) -> Vec<GrantedLease> {
        self.hub.board().stop(self.id);
        let settled = self.reach(|standing| standing != Standing::Waits);
        _ = timeout_at(Instant::now() + SETTLE, settled).await;
        self.end()
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

    async fn reach(&self, reached: impl Fn(Standing) -> bool) {
        loop {
            // A permit that is stored while nobody waits is not lost, so checking first is safe.
            if reached(self.hub.board().standing(self.id)) {
                return;
            }
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
