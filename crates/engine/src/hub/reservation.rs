//! What passes between the hub and the partitions: reserved slots, and the leases that fill them.

use std::sync::Arc;

use bytes::Bytes;
use stint_core::command::{Claim, ClaimFilter, Grant};
use stint_core::model::{Group, Spec, StepRecord, Worker};
use stint_core::{Command, LeaseToken, Millis, ReadyGroup};

/// One claim of one worker, by the order of its arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClaimId(pub u64);

/// Slots of a claim that a partition may fill. Every slot comes back to the hub exactly once: filled
/// ([`Hub::fulfil`](super::Hub::fulfil)), not ([`Hub::unused`](super::Hub::unused)), or kept for permits that are asked for
/// ([`Hub::asks`](super::Hub::asks), and then [`Hub::answered`](super::Hub::answered)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Whose slots.
    pub claim: ClaimId,
    /// The proof of the leases; another one if the claim asks the same partition again.
    pub token: LeaseToken,
    /// Who claims.
    pub worker: Worker,
    /// What it can serve.
    pub filter: Arc<ClaimFilter>,
    /// Slots.
    pub max: usize,
    /// Only work of this order or better: elsewhere there is better than what is beyond.
    pub until: Millis,
    /// The groups that the hub took these slots' work from. The partition says after the claim how they stand, whether
    /// the claim changed them or not.
    pub groups: Vec<Arc<Group>>,
}

impl Reservation {
    /// The command that fills it.
    pub fn command(&self) -> Command {
        Command::Claim(Claim {
            token: self.token,
            worker: self.worker.clone(),
            filter: ClaimFilter::clone(&self.filter),
            max: self.max,
            until: self.until,
        })
    }
}

/// How a group's ready work in a partition stands after commands ran.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The group.
    pub group: Arc<Group>,
    /// Its ready work; `None` if there is none that may start.
    pub ready: Option<ReadyGroup>,
    /// Capabilities that the newest of it prefers, as far as the partition knows without reading.
    pub prefer: Vec<String>,
}

impl Change {
    /// A change of work that prefers nobody.
    pub fn new(group: Arc<Group>, ready: Option<ReadyGroup>) -> Self {
        Self { group, ready, prefer: Vec::new() }
    }
}

/// A committed lease with all that its worker needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantedLease {
    /// The lease.
    pub grant: Grant,
    /// What was submitted.
    pub spec: Spec,
    /// The input, from wherever it is kept.
    pub input: Bytes,
    /// The journal, results up to 256 KiB included.
    pub steps: Vec<(String, StepRecord)>,
}
