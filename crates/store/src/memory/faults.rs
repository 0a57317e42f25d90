//! Faults a store may be given: what goes wrong with one call, decided by a plan that the caller drives.
//!
//! The store itself has no randomness. A plan is asked once per call, in the order of the calls, so one seed on
//! one thread is one history.

use std::fmt;
use std::time::Duration;

use crate::contract::{NodeId, PartitionId};

/// Which call of the contract a fault is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// [`crate::Store::commit`]
    Commit,
    /// [`crate::Store::get`]
    Get,
    /// [`crate::Store::load`]
    Load,
    /// [`crate::Store::range`]
    Range,
    /// [`crate::Store::scan`]
    Scan,
    /// [`crate::Store::changes`]
    Changes,
    /// [`crate::Store::clock`]
    Clock,
}

/// The call a plan decides about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Which call.
    pub call: Call,
    /// Of which partition; `None` for the clock.
    pub partition: Option<PartitionId>,
    /// Number of the handle that makes it, see [`super::MemoryStore::handle`].
    pub handle: u64,
}

/// What happens to one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fault {
    /// Time before the store sees it.
    pub before: Duration,
    /// What goes wrong.
    pub trouble: Trouble,
    /// Time before the caller sees the reply.
    pub after: Duration,
}

/// What goes wrong. Whatever does not fit the call is ignored, except that a lost message of a read is
/// answered `Unavailable`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Answers `Unavailable`; nothing happens.
    Unavailable,
    /// A commit answers `Full`; nothing happens.
    Full,
    /// A commit's request is lost: `Unknown`, and it never arrives.
    LostRequest,
    /// A commit is applied and its reply lost: `Unknown`.
    LostReply,
    /// A commit answers `Unknown` and arrives only after this time, if it still may.
    Late(Duration),
    /// A commit is answered, and arrives once more after this time.
    Repeat(Duration),
    /// Another node's commit without writes comes first, so that this one conflicts.
    Rival {
        /// That node.
        node: NodeId,
        /// Nonce of its batch, not 0.
        nonce: u64,
    },
    /// Changes answers `TooOld`.
    TooOld,
}

/// Decides what goes wrong. It must answer from its own state alone: no clock, no other randomness.
pub trait FaultPlan: Send + fmt::Debug + 'static {
    /// The fault of this call.
    fn decide(&mut self, op: Op) -> Fault;
}

/// How often each trouble strikes, in thousandths of the calls it can strike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// [`Trouble::Unavailable`]
    pub unavailable: u16,
    /// [`Trouble::Full`]
    pub full: u16,
    /// [`Trouble::LostRequest`]
    pub lost_request: u16,
    /// [`Trouble::LostReply`]
    pub lost_reply: u16,
    /// [`Trouble::Late`], up to ten minutes.
    pub late: u16,
    /// [`Trouble::Repeat`], up to ten minutes.
    pub repeat: u16,
    /// [`Trouble::Rival`]
    pub rival: u16,
    /// [`Trouble::TooOld`]
    pub too_old: u16,
    /// Calls that are slow, before or after.
    pub slow: u16,
    /// Longest delay of a slow call in milliseconds.
    pub slow_ms_max: u64,
    /// Delay of every call in microseconds, so that calls overlap at all.
    pub always_us_max: u64,
}

/// A plan that draws from a seed.
#[derive(Debug)]
pub struct SeededFaults {
    state: u64,
    rates: Rates,
}

impl SeededFaults {
    /// The node that a rival commit names.
    pub const RIVAL: NodeId = NodeId(u64::MAX);

    /// The same seed and the same calls are the same faults.
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self { state: seed, rates }
    }

    /// The next number of the sequence (splitmix64).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// Mostly short, at times minutes: both orders of magnitude find different faults.
    fn lateness(&mut self) -> Duration {
        let ms_max = match self.below(3) {
            0 => 100,
            1 => 10_000,
            _ => 600_000,
        };
        Duration::from_millis(1 + self.below(ms_max))
    }

    fn trouble(&mut self, call: Call) -> Trouble {
        let rates = self.rates;
        let drawn = self.below(1_000);
        let mut border = 0;
        // The intervals of all troubles lie side by side, so each keeps its own share.
        let mut strikes = |rate: u16| {
            border += u64::from(rate);
            drawn < border
        };
        if strikes(rates.unavailable) {
            return Trouble::Unavailable;
        }
        match call {
            Call::Commit => {
                if strikes(rates.full) {
                    Trouble::Full
                } else if strikes(rates.lost_request) {
                    Trouble::LostRequest
                } else if strikes(rates.lost_reply) {
                    Trouble::LostReply
                } else if strikes(rates.late) {
                    Trouble::Late(self.lateness())
                } else if strikes(rates.repeat) {
                    Trouble::Repeat(self.lateness())
                } else if strikes(rates.rival) {
                    Trouble::Rival { node: Self::RIVAL, nonce: self.draw() | 1 }
                } else {
                    Trouble::None
                }
            }
            Call::Changes if strikes(rates.too_old) => Trouble::TooOld,
            _ => Trouble::None,
        }
    }
}

impl FaultPlan for SeededFaults {
    fn decide(&mut self, op: Op) -> Fault {
        let always = self.rates.always_us_max;
        let mut fault = Fault {
            before: Duration::from_micros(if always > 0 { self.below(always) } else { 0 }),
            trouble: self.trouble(op.call),
            after: Duration::from_micros(if always > 0 { self.below(always) } else { 0 }),
        };
        if self.below(1_000) < u64::from(self.rates.slow) {
            let slow = Duration::from_millis(self.below(self.rates.slow_ms_max));
            if self.below(2) == 0 {
                fault.before += slow;
            } else {
                fault.after += slow;
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_and_a_seed_is_a_history() {
        let rates = Rates { unavailable: 100, lost_reply: 200, repeat: 50, too_old: 300, ..Rates::default() };
        let draw = |seed, call| {
            let mut plan = SeededFaults::new(seed, rates);
            (0..20_000)
                .map(|_| plan.decide(Op { call, partition: None, handle: 0 }).trouble)
                .collect::<Vec<_>>()
        };
        let commits = draw(7, Call::Commit);
        let share = |wanted: fn(&Trouble) -> bool| commits.iter().filter(|t| wanted(t)).count() / 20;
        assert!((80..120).contains(&share(|t| *t == Trouble::Unavailable)));
        assert!((170..230).contains(&share(|t| *t == Trouble::LostReply)));
        assert!((35..65).contains(&share(|t| matches!(t, Trouble::Repeat(_)))));
        assert_eq!(share(|t| *t == Trouble::TooOld), 0);
        assert_eq!(commits, draw(7, Call::Commit));
        assert_ne!(commits, draw(8, Call::Commit));
        assert!(draw(7, Call::Changes).contains(&Trouble::TooOld));
    }
}
