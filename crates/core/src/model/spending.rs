//! What an execution may spend, has spent, and holds.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::hold::Shortfall;
use crate::Millis;
use crate::ids::{ExecutionId, LeaseToken};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A permit that no lease uses goes back after this time.
pub const UNUSED_MS: Millis = 5_000;

/// A grant that waits for others goes back after this time.
pub const TENTATIVE_MS: Millis = 1_000;

/// Of executions that want the same several budgets, each keeps what the other needs for a moment. What comes to it twice rests
/// for a while of its own, at most so long after the first time and twice that after each other, so that they part.
pub const REST_MS: Millis = 20;

/// The longest rest is the first, doubled so often.
const RESTS_MAX: u32 = 6;

/// The dimension of a cap that counts the time an attempt runs, in ms.
pub const WALL_CLOCK: &str = "wall_clock_ms";

/// A budget that an execution names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(map)]
pub struct BudgetUse {
    /// Its path.
    #[n(0)]
    pub path: String,
    /// What each attempt holds at its start; without it an estimate is made.
    #[n(1)]
    pub hold: Option<Amounts>,
    /// The most that the execution may spend over all its attempts.
    #[n(2)]
    pub cap: Option<Amounts>,
    /// The most that one attempt may spend.
    #[n(3)]
    pub attempt_cap: Option<Amounts>,
}

/// Where a permit stands in the execution's partition. Without one there is nothing to end.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum PermitState {
    /// The question is on its way.
    #[n(0)]
    Asked,
    /// It waits in the budget's queue.
    #[n(1)]
    Queued(#[n(0)] Shortfall),
    /// The hold stands.
    #[n(2)]
    Granted,
}

/// A permit that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Permit {
    /// Under which ask.
    #[n(0)]
    pub ask: u32,
    /// Where it stands.
    #[n(1)]
    pub state: PermitState,
    /// How much is held, once it is granted.
    #[n(2)]
    pub held: Option<Amounts>,
}

/// What an execution that names budgets has asked for and spent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Spending {
    /// Asks so far; never reset.
    #[n(0)]
    pub asks: u32,
    /// One place per budget that it names; empty if nothing is asked.
    #[n(1)]
    pub permits: Vec<Option<Permit>>,
    /// When what is granted goes back, unless a lease uses it.
    #[n(2)]
    pub until: Option<Millis>,
    /// Spent over all attempts.
    #[n(3)]
    pub spent: Amounts,
    /// Spent by this attempt.
    #[n(4)]
    pub attempt_spent: Amounts,
    /// What it must get of each budget before it goes on: it was stopped for the want of it.
    #[n(5)]
    pub missing: Option<Vec<Amounts>>,
    /// How long its earlier leases lasted, in ms.
    #[n(6)]
    pub ran_ms: Millis,
    /// Of those, how long those of this attempt.
    #[n(7)]
    pub attempt_ran_ms: Millis,
    /// When it first waited for a budget, while it does.
    #[n(8)]
    pub blocked_since: Option<Millis>,
    /// The lease goes on with an attempt that a budget stopped.
    #[n(9)]
    pub resumed: Option<bool>,
    /// How often in a row one of several budgets said not now.
    #[n(10)]
    pub rounds: Option<u32>,
    /// It rests until `until`, and then queues for the budget at this place.
    #[n(11)]
    pub rests: Option<u8>,
    /// Its last lease was given back: the next goes on with the same attempt.
    #[n(12)]
    pub given_back: Option<bool>,
    /// What of `missing` it asked for on top of what it held, and will ask for again when it goes on.
    #[n(13)]
    pub promised: Option<Vec<Amounts>>,
}

impl Spending {
    /// Whether something is asked for, queued or granted.
    pub fn is_pending(&self) -> bool {
        self.rests.is_some() || self.permits.iter().any(Option::is_some)
    }

    /// Whether it waits for money: in a queue, or resting before it asks again.
    pub fn waits(&self) -> bool {
        self.rests.is_some() || self.queued().is_some()
    }

    /// Whether every permit of `uses` budgets is granted.
    pub fn is_admitted(&self, uses: usize) -> bool {
        let granted =
            |permit: &Option<Permit>| permit.as_ref().is_some_and(|p| p.state == PermitState::Granted);
        self.permits.len() == uses && self.permits.iter().all(granted)
    }

    /// How long an execution rests before it asks again, after so many rounds: a hash, so that no two do the same.
    pub fn rest_ms(&self, id: ExecutionId) -> Millis {
        let longest = REST_MS << self.rounds.unwrap_or(0).min(RESTS_MAX);
        let share = xxh3_64_with_seed(&id.0, u64::from(self.asks)) % 1_000;
        1 + longest * share as Millis / 1_000
    }

    /// What it waits for, with the place among its budgets, if it is queued.
    pub fn queued(&self) -> Option<(usize, &Shortfall)> {
        self.permits.iter().enumerate().find_map(|(n, permit)| match permit.as_ref().map(|p| &p.state) {
            Some(PermitState::Queued(shortfall)) => Some((n, shortfall)),
            _ => None,
        })
    }
}

impl EpochRecord {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

/// An earlier lease of an execution that names budgets: late charges are told by it, and find their holds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct EpochRecord {
    /// The lease's proof.
    #[n(0)]
    pub token: LeaseToken,
    /// The asks of its permits.
    #[n(1)]
    pub asks: Vec<u32>,
    /// Its attempt.
    #[n(2)]
    pub attempt: u32,
    /// Its worker said a last word.
    #[n(3)]
    pub settled: bool,
}
