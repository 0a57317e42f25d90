//! The claim hub: where ready work and workers that wait for it meet.
//!
//! Partitions say how their groups of ready work stand; claims say what they can serve. The hub reserves slots of
//! claims for work, never work for claims: which execution a slot gets is decided by the partition's own rules when it
//! runs the claim.
//!
//! **What a partition does.** After commands ran, and before their commit, it calls [`Hub::offer`] with the groups that
//! `Txn::take_ready` names, runs the reservations that come back as further commands of the same batch, and offers
//! again what these changed, until none comes back. A reservation that arrives through [`Serve`] is run like a command;
//! afterwards the offer names the groups that changed *and* all of [`Reservation::groups`], and only then
//! [`Hub::unused`] is called with the slots that were not filled. When the batch is committed, [`Hub::fulfil`]. When it
//! is undone, [`Hub::unused`] and [`Hub::restate`]; also [`Hub::restate`] when a partition is opened or lost.
//!
//! **Never here:** awaiting under the lock, or deciding what a lease is.

mod board;
mod index;
mod parked;
#[cfg(test)]
mod property;
mod reservation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use board::Wanted;
use board::{Asked, Board};
pub use index::SLACK_MS;
pub use parked::{Parked, Watch};
pub use reservation::{Change, ClaimId, GrantedLease, Reservation};
use stint_core::model::Group;
use stint_core::{LeaseRef, LeaseToken, PartitionId, ReadyGroup};
use tokio::sync::Notify;

use crate::edge::lease::REPLY_BYTES;

/// How the hub reaches the partitions. Neither call waits.
pub trait Serve: Send + Sync {
    /// Asks a partition to fill a reservation.
    fn serve(&self, partition: PartitionId, reservation: Reservation);

    /// Gives leases back that nobody wants; without an attempt.
    fn release(&self, leases: Vec<LeaseRef>);
}

/// See the module's documentation.
#[derive(Default)]
pub struct Hub {
    board: Mutex<Board>,
    serve: OnceLock<Box<dyn Serve>>,
}

impl Hub {
    /// A hub that knows of no partition yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says how partitions are reached; once, before the first claim.
    pub fn connect(&self, serve: Box<dyn Serve>) {
        if self.serve.set(serve).is_err() {
            tracing::error!("the hub is connected twice; the second connection is ignored");
        }
    }

    /// Takes how groups stand in a partition after commands ran there, and reserves what parked claims can take.
    #[must_use = "every reservation has to be run, or given back by `unused`"]
    pub fn offer(&self, partition: PartitionId, changes: &[Change]) -> Vec<Reservation> {
        if changes.is_empty() {
            return Vec::new();
        }
        self.board().offer(partition, changes)
    }

    /// Takes all that is ready in a partition; what was known of it before is void.
    #[must_use = "every reservation has to be run, or given back by `unused`"]
    pub fn restate(&self, partition: PartitionId, ready: Vec<ReadyGroup>) -> Vec<Reservation> {
        self.board().restate(partition, ready)
    }

    /// Slots that were not filled, or whose leases were undone: the claim looks for other work.
    pub fn unused(&self, claim: ClaimId, slots: usize) {
        if slots > 0 {
            let asked = self.board().unused(claim, slots);
            self.ask(asked);
        }
    }

    /// Reserved slots that are kept for work whose permits were asked for; each comes back by [`Hub::answered`]. The claim is
    /// answered without them if it has leases.
    pub fn asks(&self, claim: ClaimId, slots: usize) {
        if slots > 0 {
            self.board().asks(claim, slots);
        }
    }

    /// Slots that were kept for answers: these are here, or take too long.
    pub fn answered(&self, claim: ClaimId, slots: usize) {
        if slots > 0 {
            let asked = self.board().answered(claim, slots);
            self.ask(asked);
        }
    }

    /// Leases that are committed, for their claim. Gives back those that it no longer wants: the partition releases
    /// them in its next batch.
    #[must_use = "these leases have to be released"]
    pub fn fulfil(&self, claim: ClaimId, leases: Vec<GrantedLease>) -> Vec<LeaseRef> {
        self.board().fulfil(claim, leases)
    }

    /// Whether a claim's answer still has room for a lease of so many bytes. If not, its slot and the lease have to be
    /// given back, and the claim gets nothing new. A claim that is gone has no room.
    pub fn has_room(&self, claim: ClaimId, bytes: usize) -> bool {
        self.board().has_room(claim, bytes, REPLY_BYTES)
    }

    /// No claim gets anything new from now on; all are answered.
    pub fn close(&self) {
        self.board().close();
    }

    /// Whether a claim waits that takes work of this group.
    pub(crate) fn is_waited_for(&self, group: &Group) -> bool {
        self.board().is_waited_for(group)
    }

    /// Claims that wait.
    pub fn parked(&self) -> usize {
        self.board().len()
    }

    /// Registers a claim and looks for work for it.
    pub fn park(self: &Arc<Self>, wanted: Wanted) -> Parked {
        let wake = Arc::new(Notify::new());
        let (id, asked) = self.board().park(wanted, wake.clone());
        self.ask(asked);
        Parked::new(self.clone(), id, wake)
    }

    /// A claim for leases that it was given before, under these tokens, and for nothing new.
    pub fn recall(self: &Arc<Self>, wanted: Wanted, given: &[(PartitionId, LeaseToken)]) -> Parked {
        let wake = Arc::new(Notify::new());
        let (id, asked) = self.board().recall(wanted, given, wake.clone());
        self.ask(asked);
        Parked::new(self.clone(), id, wake)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // The board's calls don't panic; if one did, its claims are still answered by their time-outs.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, asked: Asked) {
        if asked.is_empty() {
            return;
        }
        match self.serve.get() {
            Some(serve) => asked.into_iter().for_each(|(partition, asked)| serve.serve(partition, asked)),
            None => tracing::error!("work is ready, but the hub is not connected to any partition"),
        }
    }

    fn release(&self, leases: Vec<LeaseRef>) {
        if let Some(serve) = self.serve.get()
            && !leases.is_empty()
        {
            serve.release(leases);
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}
