//! What must always hold, by name.

use std::fmt;

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A promise of ARCHITECTURE's "Invariants", as far as it is watched here.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Invariant { $($(#[$doc])* $name,)* }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$name,)*];
        }
    };
}

invariants! {
    /// An acknowledged submission is never lost.
    SubmissionKept,
    /// An execution moves as the rules allow, and ends in exactly one terminal state.
    OneEnd,
    /// At most one valid lease per execution: nobody works under a lease that ran out or was given twice.
    OneLease,
    /// A stale lease changes nothing.
    StaleLease,
    /// A journaled step never runs again after its result is acknowledged.
    StepOnce,
    /// A request or key that is repeated makes one execution and gets one answer.
    Idempotent,
    /// What is acknowledged is committed, and what is read was.
    ReplyCommitted,
    /// The projection a node keeps equals the one rebuilt from the store.
    Projection,
    /// After quiescence no message is left in an outbox.
    OutboxEmpty,
    /// A paused lane, or a paused execution, starts nothing.
    PausedStartsNothing,
    /// Retries and crashes stay within the policy.
    WithinLimits,
    /// At rest every partition goes by what the homes of settings say.
    Copies,
    /// Lost writes that were acknowledged are seen and said.
    LossSeen,
    /// A node leaves alone what it is too old for.
    Level,
    /// Partitions rise to the level that every live node knows.
    LevelRises,
    /// A node that lives is seen to live.
    Heard,
    /// What is used and held stays within a budget's limit.
    WithinBudget,
    /// What is held for a call stays held until its worker has spoken or its time in doubt is over.
    Doubted,
    /// The ledger, the counters and the provider's bill say the same; every charge counts once.
    Books,
    /// A budget is breached for as long as it has used more than its limit, and nothing new is held meanwhile.
    Latched,
    /// Work is taken to have its money only by the answer to its present ask: the hold of that very ask stands.
    Funded,
    /// At rest nothing is held and nobody waits for money.
    NothingHeld,
    /// Everything comes to an end once faults stop.
    Ends,
    /// An idle node commits nothing but its heartbeat.
    IdleIsStill,
    /// Nothing of ours panics.
    NoPanic,
}

/// One breach of an invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Which.
    pub invariant: Invariant,
    /// When, in virtual milliseconds since the run began.
    pub at_ms: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms: {}", self.invariant, self.at_ms, self.what)
    }
}
