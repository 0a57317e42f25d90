//! Money set aside: for an attempt, or for a service that only wants the budget. And who waits for it.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use crate::Millis;
use crate::ids::{ExecutionId, HoldId, PartitionId};

/// The n-th budget that an execution names, under one of its asks. Asks are counted over the execution's whole life, so a
/// key is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct PermitKey {
    /// The execution.
    #[n(0)]
    pub execution: ExecutionId,
    /// Its asks, counted.
    #[n(1)]
    pub ask: u32,
    /// Which of the budgets that it names, from 0.
    #[n(2)]
    pub n: u8,
}

/// Whose hold it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub enum HoldKey {
    /// An attempt's.
    #[n(0)]
    Permit(#[n(0)] PermitKey),
    /// Nobody's lease: it has an expiry of its own.
    #[n(1)]
    Free(#[n(0)] HoldId),
}

impl HoldKey {
    /// The partition that has to be told, if the hold is an attempt's.
    pub fn partition(&self) -> Option<PartitionId> {
        match self {
            Self::Permit(key) => Some(key.execution.partition()),
            Self::Free(_) => None,
        }
    }
}

/// Money set aside.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Hold {
    /// The namespace.
    #[n(0)]
    pub namespace: String,
    /// Under which path; counts at each of its levels.
    #[n(1)]
    pub path: String,
    /// What is left of it.
    #[n(2)]
    pub held: Amounts,
    /// What was charged under it.
    #[n(3)]
    pub charged: Amounts,
    /// The execution's kind: estimates are learned by it.
    #[n(4)]
    pub kind: Option<String>,
    /// When an open one without a lease expires; when one in doubt ends.
    #[n(5)]
    pub until: Option<Millis>,
    /// Its owner ended without a word: what is left waits for a late one.
    #[n(6)]
    pub in_doubt: Option<bool>,
    /// Extends answered, latest last: asked again they are answered the same.
    #[n(7)]
    pub extends: Option<Vec<Extended>>,
    /// What it was given at first: a repetition of the request asks for the same.
    #[n(8)]
    pub granted: Amounts,
    /// The most that may be granted in all, by the execution's caps; a dimension that is not named has none.
    #[n(9)]
    pub cap: Option<Vec<(String, u64)>>,
    /// What the same attempt spent under its earlier holds: a budget stopped it, or its work was given back.
    #[n(10)]
    pub before: Option<Amounts>,
    /// What of it the next extends take before they ask for more: their refusal stopped the attempt, which waited for it.
    #[n(11)]
    pub promised: Option<Amounts>,
}

/// An extend and its answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Extended {
    /// The request's id.
    #[n(0)]
    pub id: String,
    /// What was asked for.
    #[n(1)]
    pub amounts: Amounts,
    /// Whether it was given.
    #[n(2)]
    pub granted: bool,
    /// The limit that was in the way, if it was not; without one a cap was.
    #[n(3)]
    pub shortfall: Option<Shortfall>,
}

/// Extends of one hold that are remembered.
pub const EXTENDS_MAX: usize = 32;

impl Hold {
    /// Whether its owner ended without a word.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt == Some(true)
    }
}

/// A hold without a lease that has ended: what is said of it again, or late, is known for [`ENDED_HOLD_MS`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct EndedHold {
    /// The namespace.
    #[n(0)]
    pub namespace: String,
    /// Under which path it was: late charges are booked there.
    #[n(1)]
    pub path: String,
    /// What it was given at first.
    #[n(2)]
    pub granted: Amounts,
    /// When it ended.
    #[n(3)]
    pub at: Millis,
}

/// How long after its end a hold without a lease is known: 24 h, as an idempotency key.
pub const ENDED_HOLD_MS: Millis = 24 * 3_600 * 1_000;

impl EndedHold {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

/// An execution that asks whether it may start.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Ask {
    /// The namespace.
    #[n(0)]
    pub namespace: String,
    /// Under which path.
    #[n(1)]
    pub path: String,
    /// The execution's kind.
    #[n(2)]
    pub kind: String,
    /// What it wants held; without it an estimate is made.
    #[n(3)]
    pub hold: Option<Amounts>,
    /// What it must get at least: it was stopped for the want of it.
    #[n(4)]
    pub missing: Option<Amounts>,
    /// Its place, lower first.
    #[n(5)]
    pub order: Millis,
    /// Whether to wait if there is not enough.
    #[n(6)]
    pub queue: bool,
    /// The most that may be held, by its caps; a dimension that is not named has none.
    #[n(7)]
    pub cap: Option<Vec<(String, u64)>>,
    /// What the attempt has spent already, if it is one that goes on.
    #[n(8)]
    pub before: Option<Amounts>,
    /// What of `missing` it will ask for again, by extends: those take it before they ask for more.
    #[n(9)]
    pub promised: Option<Amounts>,
    /// Wait only at the front of the queue: it holds something else meanwhile.
    #[n(10)]
    pub as_next: Option<bool>,
}

/// What keeps something from being held: the first limit in the way, from the root down.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Shortfall {
    /// The budget.
    #[n(0)]
    pub path: String,
    /// Its window.
    #[n(1)]
    pub window: String,
    /// The dimension.
    #[n(2)]
    pub dimension: String,
    /// The hard limit, top-ups included.
    #[n(3)]
    pub limit: u64,
    /// Used in the present period.
    #[n(4)]
    pub used: u64,
    /// Held.
    #[n(5)]
    pub held: u64,
    /// What would have to become free.
    #[n(6)]
    pub missing: u64,
    /// When the present period ends.
    #[n(7)]
    pub resets_at: Option<Millis>,
}

/// Why a permit is refused.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Denial {
    /// Not now, and it did not want to wait.
    #[n(0)]
    NotNow(#[n(0)] Shortfall),
    /// Never: it is more than the limit.
    #[n(1)]
    TooLarge(#[n(0)] Shortfall),
    /// There is no such budget.
    #[n(2)]
    NotFound,
}
