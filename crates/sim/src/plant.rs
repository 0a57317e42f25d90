//! Planted bugs: one at least for each invariant, each of which the simulation must find.
//!
//! They sit at the simulation's own seams (what a store answers, what a message carries, what a worker does), so
//! product code has no switch for them.

use crate::invariant::Invariant;

macro_rules! plants {
    ($($(#[$doc:meta])* $plant:ident $name:literal [$($invariant:ident),*];)*) => {
        /// A bug on purpose.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Plant { $($(#[$doc])* $plant,)* }

        impl Plant {
            /// All of them.
            pub const ALL: &'static [Plant] = &[$(Plant::$plant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Plant::$plant => $name,)* }
            }

            /// What it breaks: one of these must be found.
            pub fn breaks(self) -> &'static [Invariant] {
                match self { $(Plant::$plant => &[$(Invariant::$invariant,)*],)* }
            }
        }
    };
}

plants! {
    /// The store confirms batches that it never applies.
    ForgetCommit "forget-commit" [SubmissionKept, ReplyCommitted];
    /// The store confirms batches a while before it applies them.
    EarlyReply "early-reply" [SubmissionKept, ReplyCommitted];
    /// The store drops the records of what has ended.
    DropArchive "drop-archive" [SubmissionKept];
    /// The store keeps the live record of what has ended.
    KeepLive "keep-live" [OneEnd];
    /// The store commits without comparing heads.
    BlindCommit "blind-commit" [OneEnd, OneLease];
    /// Leases say that they last longer than they do.
    LongLease "long-lease" [OneLease];
    /// A stale lease is taken for the present one.
    StaleLease "stale-lease" [StaleLease];
    /// A worker runs steps whatever the journal says.
    RerunSteps "rerun-steps" [StepOnce];
    /// The store drops the journal.
    DropSteps "drop-steps" [StepOnce];
    /// Requests are repeated under new keys.
    FreshKeys "fresh-keys" [Idempotent];
    /// The store drops idempotency keys.
    DropKeys "drop-keys" [Idempotent];
    /// The store drops a live record now and then.
    DropLive "drop-live" [Projection];
    /// The store never deletes a message.
    KeepMessages "keep-messages" [OutboxEmpty];
    /// Some partitions forget that a lane is paused.
    ForgetPause "forget-pause" [PausedStartsNothing];
    /// Some partitions keep the settings of a lane that they had.
    StaleCopies "stale-copies" [Copies];
    /// Submissions are accepted with higher limits than they name.
    MoreAttempts "more-attempts" [WithinLimits];
    /// Nobody says that writes were lost.
    SilentLoss "silent-loss" [LossSeen];
    /// A node that is too old for a partition is not told so.
    HideLevel "hide-level" [Level];
    /// The store keeps the level that a partition was begun with.
    KeepLevel "keep-level" [LevelRises];
    /// A node's heartbeats come to nothing.
    Mute "mute" [Heard];
    /// The store keeps holds that have ended.
    LeakHolds "leak-holds" [NothingHeld];
    /// The store drops a hold that goes into doubt.
    FreeDoubt "free-doubt" [Doubted];
    /// The store forgets which charges it has booked, and workers say some again.
    DoubleCharge "double-charge" [Books];
    /// The store forgets what budgets have used.
    ForgetSpend "forget-spend" [WithinBudget, Books];
    /// The store forgets that a budget is breached.
    ClearLatch "clear-latch" [Latched];
    /// The store takes the answer to an earlier ask for the answer to the present one.
    StaleAnswer "stale-answer" [Funded];
    /// One partition's commits are never answered.
    Stall "stall" [Ends];
    /// A node commits although nothing happens.
    Restless "restless" [IdleIsStill];
    /// A task of the engine panics.
    Panic "panic" [NoPanic];
}
