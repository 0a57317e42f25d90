//! The hub without locks, tasks or time: claims, what is reserved for them, and what has filled them.
//!
//! A claim registers first and checks second, and an offer looks at the registered claims, both under one lock: so
//! ready work and a claim that can take it never miss each other. Between two calls no waiting claim knows of work
//! that it could take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use stint_core::command::ClaimFilter;
use stint_core::model::{Capabilities, Group, Requirement, Worker};
use stint_core::{LeaseRef, LeaseToken, Millis, PartitionId, ReadyGroup};
use tokio::sync::Notify;

use super::index::{FilterId, Index};
use super::{Change, ClaimId, GrantedLease, Reservation};

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// 128 random bits, or those that follow from the request's key.
    pub token: LeaseToken,
    /// Who claims.
    pub worker: Worker,
    /// What it can serve.
    pub filter: Arc<ClaimFilter>,
    /// Leases at most.
    pub max: usize,
}

/// Reservations that are to be sent to their partitions.
pub(super) type Asked = Vec<(PartitionId, Reservation)>;

/// What a claim may still get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    /// Work that is known, and work to come.
    All,
    /// Work that is known: its time is over, but it was not answered yet.
    Known,
    /// Nothing new.
    Nothing,
}

/// Where a claim stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Nothing yet, and more may come.
    Waits,
    /// It has leases, and no partition still works on it.
    HasLeases,
    /// It takes no more, and no partition still works on it.
    Settled,
}

#[derive(Debug)]
struct Claim {
    wanted: Wanted,
    filter: FilterId,
    reserved: usize,
    /// Slots kept for work whose permits are asked for: they don't keep the claim from being answered.
    asking: usize,
    leases: Vec<GrantedLease>,
    /// How often each partition was asked: a token is used once in a partition.
    asked: BTreeMap<PartitionId, u32>,
    /// Bytes that partitions read for its leases.
    bytes: usize,
    takes: Takes,
    wake: Arc<Notify>,
}

impl Claim {
    fn free(&self) -> usize {
        self.wanted.max.saturating_sub(self.reserved + self.asking + self.leases.len())
    }

    fn standing(&self) -> Standing {
        match (self.reserved, self.takes) {
            (0, _) if !self.leases.is_empty() => Standing::HasLeases,
            (0, Takes::Known | Takes::Nothing) if self.asking == 0 => Standing::Settled,
            _ => Standing::Waits,
        }
    }
}

#[derive(Default, Debug)]
pub(super) struct Board {
    index: Index,
    claims: BTreeMap<ClaimId, Claim>,
    last: u64,
    closed: bool,
}

impl Board {
    /// Registers a claim, then looks for work for it.
    pub(super) fn park(&mut self, wanted: Wanted, wake: Arc<Notify>) -> (ClaimId, Asked) {
        let id = self.register(wanted, wake);
        (id, self.place(id))
    }

    /// A claim for leases that it was given before, under these tokens, and for nothing new.
    pub(super) fn recall(
        &mut self,
        wanted: Wanted,
        given: &[(PartitionId, LeaseToken)],
        wake: Arc<Notify>,
    ) -> (ClaimId, Asked) {
        let id = self.register(wanted, wake);
        let Some(claim) = self.claims.get_mut(&id) else { return (id, Vec::new()) };
        claim.takes = Takes::Nothing;
        let slots = claim.wanted.max;
        let asked = given.iter().map(|(partition, token)| {
            let mut made = reservation(id, claim, *partition, Millis::MIN);
            (made.token, made.max) = (*token, slots);
            claim.reserved += slots;
            (*partition, made)
        });
        (id, asked.collect())
    }

    /// A newer request of the same worker goes on with a claim: nothing that is under way for it is lost. With another
    /// filter it can't: the answer is `None`.
    pub(super) fn hand_over(&mut self, id: ClaimId, wanted: &Wanted, wake: &Arc<Notify>) -> Option<Asked> {
        let claim = self.claims.get_mut(&id)?;
        if *claim.wanted.filter != *wanted.filter || claim.wanted.worker != wanted.worker {
            return None;
        }
        claim.wanted.max = wanted.max;
        claim.takes = if self.closed { Takes::Nothing } else { Takes::All };
        claim.wake = wake.clone();
        Some(self.place(id))
    }

    /// Takes how groups stand in a partition after commands ran there, and reserves what parked claims can take.
    pub(super) fn offer(&mut self, partition: PartitionId, changes: &[Change]) -> Vec<Reservation> {
        let mut offered: Vec<_> = changes
            .iter()
            .map(|change| {
                let id = self.index.set(partition, &change.group, change.ready.as_ref());
                (change.ready.as_ref().map_or(Millis::MAX, |ready| ready.best), id, &change.prefer)
            })
            .collect();
        offered.sort_by_key(|(best, id, _)| (*best, *id));
        let mut reserved: BTreeMap<ClaimId, Reservation> = BTreeMap::new();
        for (_, group, prefer) in offered {
            let prefer: Vec<Requirement> = prefer.iter().filter_map(|p| Requirement::parse(p).ok()).collect();
            let score = |worker: &Capabilities| prefer.iter().filter(|p| p.holds(worker)).count();
            while self.index.count(group, partition) > 0
                && let Some(id) = self.index.taker(group, score)
                && let Some(claim) = self.claims.get_mut(&id)
            {
                let taken = self.index.take_from(group, partition, claim.free());
                if taken == 0 {
                    // Never: a waiting claim has a free slot. Without this a defect would hang every partition.
                    break;
                }
                claim.reserved += taken;
                let into = match reserved.entry(id) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        entry.insert(reservation(id, claim, partition, Millis::MAX))
                    }
                };
                into.max += taken;
                into.groups.extend(self.index.group(group).cloned());
                self.note_waiting(id);
            }
        }
        reserved.into_values().collect()
    }

    /// Takes all that is ready in a partition; what was known of it before is void.
    pub(super) fn restate(&mut self, partition: PartitionId, ready: Vec<ReadyGroup>) -> Vec<Reservation> {
        let mut changes: Vec<Change> =
            ready.into_iter().map(|ready| Change::new(ready.group.clone(), Some(ready))).collect();
        let now: BTreeSet<_> = changes.iter().map(|change| change.group.clone()).collect();
        let gone = self.index.groups_of(partition).into_iter().filter(|group| !now.contains(group));
        changes.extend(gone.map(|group| Change::new(group, None)));
        self.offer(partition, &changes)
    }

    /// Slots that were not filled, or whose leases were undone, are free again.
    pub(super) fn unused(&mut self, id: ClaimId, slots: usize) -> Asked {
        let Some(claim) = self.claims.get_mut(&id) else { return Vec::new() };
        claim.reserved = claim.reserved.saturating_sub(slots);
        let asked = self.place(id);
        self.settle_if_done(id);
        asked
    }

    /// Reserved slots are kept for work whose permits were asked for. Work that is there need not wait for those answers.
    pub(super) fn asks(&mut self, id: ClaimId, slots: usize) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let slots = slots.min(claim.reserved);
        claim.reserved -= slots;
        claim.asking += slots;
        self.settle_if_done(id);
    }

    /// The answers are here, or take too long: the slots are free again.
    pub(super) fn answered(&mut self, id: ClaimId, slots: usize) -> Asked {
        let Some(claim) = self.claims.get_mut(&id) else { return Vec::new() };
        claim.asking = claim.asking.saturating_sub(slots);
        let asked = self.place(id);
        self.settle_if_done(id);
        asked
    }

    /// Leases that are committed. Gives back those that the claim no longer wants.
    pub(super) fn fulfil(&mut self, id: ClaimId, leases: Vec<GrantedLease>) -> Vec<LeaseRef> {
        let Some(claim) = self.claims.get_mut(&id) else {
            return leases.into_iter().map(|lease| lease.grant.lease).collect();
        };
        claim.reserved = claim.reserved.saturating_sub(leases.len());
        claim.leases.extend(leases);
        if !claim.leases.is_empty() && claim.takes == Takes::All {
            // Its leases wait for what is under way, and for nothing more: with many partitions there is always something.
            claim.takes = Takes::Nothing;
        }
        self.note_waiting(id);
        self.settle_if_done(id);
        Vec::new()
    }

    /// Whether so many bytes more may be read for the claim's leases. If not, it takes nothing new: the rest is for others.
    pub(super) fn has_room(&mut self, id: ClaimId, bytes: usize, max: usize) -> bool {
        let Some(claim) = self.claims.get_mut(&id) else { return false };
        if claim.bytes == 0 || claim.bytes + bytes <= max {
            claim.bytes += bytes.max(1);
            return true;
        }
        claim.takes = Takes::Nothing;
        self.note_waiting(id);
        false
    }

    /// From now on the claim takes nothing that is not known yet.
    pub(super) fn stop_waiting(&mut self, id: ClaimId) {
        if let Some(claim) = self.claims.get_mut(&id)
            && claim.takes == Takes::All
        {
            claim.takes = Takes::Known;
            self.note_waiting(id);
        }
    }

    /// From now on the claim is answered without the slots that are kept for permits: there is something else to say.
    pub(super) fn leave_asking(&mut self, id: ClaimId) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.asking = 0;
        }
    }

    /// Whether a claim waits that takes work of this group.
    pub(super) fn is_waited_for(&self, group: &Group) -> bool {
        self.index.group_id(group).is_some_and(|id| self.index.taker(id, |_| 0).is_some())
    }

    pub(super) fn standing(&self, id: ClaimId) -> Standing {
        self.claims.get(&id).map_or(Standing::Settled, Claim::standing)
    }

    /// Ends a claim: its leases, best first, and those beyond what it wants.
    pub(super) fn end(&mut self, id: ClaimId) -> (Vec<GrantedLease>, Vec<LeaseRef>) {
        let Some(mut claim) = self.claims.remove(&id) else { return (Vec::new(), Vec::new()) };
        self.index.set_waiting(claim.filter, id, false);
        self.index.leave_filter(claim.filter);
        claim.leases.sort_by_key(|lease| (std::cmp::Reverse(lease.grant.priority), lease.grant.submitted_at));
        let kept = claim.wanted.max.min(claim.leases.len());
        let beyond = claim.leases.split_off(kept).into_iter().map(|lease| lease.grant.lease).collect();
        (claim.leases, beyond)
    }

    /// No claim takes anything any more.
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        let ids: Vec<ClaimId> = self.claims.keys().copied().collect();
        for id in ids {
            if let Some(claim) = self.claims.get_mut(&id) {
                claim.takes = Takes::Nothing;
            }
            self.note_waiting(id);
            self.settle_if_done(id);
        }
    }

    fn register(&mut self, wanted: Wanted, wake: Arc<Notify>) -> ClaimId {
        self.last += 1;
        let id = ClaimId(self.last);
        let filter = self.index.use_filter(&wanted.filter);
        let claim = Claim {
            wanted,
            filter,
            reserved: 0,
            asking: 0,
            leases: Vec::new(),
            asked: BTreeMap::new(),
            bytes: 0,
            takes: if self.closed { Takes::Nothing } else { Takes::All },
            wake,
        };
        self.claims.insert(id, claim);
        id
    }

    /// Reserves known work for a claim's free slots.
    fn place(&mut self, id: ClaimId) -> Asked {
        let mut asked = Vec::new();
        while let Some(claim) = self.claims.get_mut(&id)
            && claim.takes != Takes::Nothing
            && claim.free() > 0
            && let Some(choice) = self.index.choose(claim.filter)
        {
            let (taken, groups) = self.index.take(claim.filter, choice.partition, choice.until, claim.free());
            if taken == 0 {
                // Never: the choice has work. Without this a defect would hang every claim.
                break;
            }
            let mut made = reservation(id, claim, choice.partition, choice.until);
            made.max = taken;
            made.groups = groups;
            claim.reserved += taken;
            asked.push((choice.partition, made));
        }
        self.note_waiting(id);
        asked
    }

    /// Wakes a claim that can be answered. It takes nothing new from then on, so that its answer is not put off by
    /// work that keeps coming.
    fn settle_if_done(&mut self, id: ClaimId) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        if claim.standing() != Standing::Waits {
            claim.takes = Takes::Nothing;
            claim.wake.notify_one();
            self.note_waiting(id);
        }
    }

    fn note_waiting(&mut self, id: ClaimId) {
        if let Some(claim) = self.claims.get(&id) {
            self.index.set_waiting(claim.filter, id, claim.takes == Takes::All && claim.free() > 0);
        }
    }
}

/// For tests: what a caller can't see.
#[cfg(test)]
impl Board {
    /// A claim's slots that are reserved, kept and filled, and whether it waits for more.
    pub(super) fn slots(&self, id: ClaimId) -> Option<(usize, usize, usize, bool)> {
        let takes = |claim: &Claim| claim.takes == Takes::All;
        self.claims.get(&id).map(|claim| (claim.reserved, claim.asking, claim.leases.len(), takes(claim)))
    }

    /// Whether a claim knows of work that it could take.
    pub(super) fn knows_work(&self, id: ClaimId) -> bool {
        self.groups_looked_at(id) > 0
    }

    /// How many groups the next look of a claim goes through.
    pub(super) fn groups_looked_at(&self, id: ClaimId) -> usize {
        self.claims.get(&id).map_or(0, |claim| self.index.active(claim.filter))
    }
}

/// An empty reservation for a claim in a partition.
fn reservation(id: ClaimId, claim: &mut Claim, partition: PartitionId, until: Millis) -> Reservation {
    let times = claim.asked.entry(partition).or_default();
    let token = token(claim.wanted.token, *times);
    *times += 1;
    Reservation {
        claim: id,
        token,
        worker: claim.wanted.worker.clone(),
        filter: claim.wanted.filter.clone(),
        max: 0,
        until,
        groups: Vec::new(),
    }
}

/// The claim's own token at first, then ones that follow from it.
fn token(first: LeaseToken, times: u32) -> LeaseToken {
    if times == 0 {
        return first;
    }
    let digest = Sha256::new().chain_update(first.0).chain_update(times.to_be_bytes()).finalize();
    let mut token = [0; 16];
    for (to, from) in token.iter_mut().zip(digest.as_slice()) {
        *to = *from;
    }
    LeaseToken(token)
}
