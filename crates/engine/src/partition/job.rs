//! What a partition is asked to do, and who waits for the answer.

use stint_core::command::{Outcome, Submission};
use stint_core::{Command, ExecutionId, Key, Partition};
use tokio::sync::oneshot;

use crate::CallError;
use crate::backup::tee::Teeing;
use crate::hub::{ClaimId, Reservation};

/// A command's answer.
pub(crate) type Answer = Result<Outcome, CallError>;

/// What comes in through a partition's mailbox.
pub(crate) enum Message {
    /// A command of a caller.
    Call(Command, oneshot::Sender<Answer>),
    /// A command nobody waits for.
    Post(Command),
    /// A look at the projection.
    Look(Box<dyn Look>),
    /// Slots of a claim.
    Serve(Reservation),
    /// Delete records that are the engine's own: old log records.
    Forget(Vec<Key>),
    /// A peer began a new timeline: compare the chain to it.
    Compare(stint_core::PartitionId),
    /// Compare chains with all peers that there is one with.
    Audit,
    /// Go on building what lists need, and say whether it is complete.
    Shelve(oneshot::Sender<bool>),
    /// From here on, say what is committed.
    Tee(oneshot::Sender<Teeing>),
    /// Finish what is here, say so, and end.
    Drain(oneshot::Sender<()>),
    /// End at once.
    Stop,
}

/// A read of the projection that can be repeated, and is answered when what it saw is committed.
pub(crate) trait Look: Send {
    /// Looks, or looks again.
    fn look(&mut self, partition: &Partition);

    /// Says what was seen, or why nothing was.
    fn answer(self: Box<Self>, trouble: Option<CallError>);
}

/// The [`Look`] of a closure.
pub(crate) struct LookWith<F, T> {
    pub(crate) look: F,
    pub(crate) seen: Option<T>,
    pub(crate) reply: oneshot::Sender<Result<T, CallError>>,
}

impl<F, T> Look for LookWith<F, T>
where
    F: Fn(&Partition) -> T + Send,
    T: Send,
{
    fn look(&mut self, partition: &Partition) {
        self.seen = Some((self.look)(partition));
    }

    fn answer(self: Box<Self>, trouble: Option<CallError>) {
        let answer = match (trouble, self.seen) {
            (None, Some(seen)) => Ok(seen),
            (Some(trouble), _) => Err(trouble),
            (None, None) => Err(CallError::Internal),
        };
        // Whoever asked may have gone.
        _ = self.reply.send(answer);
    }
}

/// Who hears of a command's outcome.
pub(super) enum To {
    /// Its caller.
    Caller(oneshot::Sender<Answer>),
    /// A claim at the hub, for which so many slots are reserved.
    Claim(ClaimId, usize),
    /// The outbox: a peer's answer.
    Peer(stint_core::PartitionId),
    /// The timers.
    Timer(ExecutionId),
    /// The timers, for all that is due of budgets.
    Budgets,
    /// Nobody.
    Nobody,
    /// Nobody any more: its caller was told that it may be done or not.
    Gone,
}

/// One piece of work, kept until its batch is committed so that it can be run again.
pub(super) enum Job {
    /// A command, and the cold keys that it was found to need.
    Run { command: Box<Command>, to: To, keys: Vec<Key> },
    /// A look.
    Look(Box<dyn Look>),
}

impl Job {
    pub(super) fn run(command: Command, to: To) -> Self {
        Self::Run { command: Box::new(command), to, keys: Vec::new() }
    }

    /// What it was counted as when it came into the mailbox; 0 if somebody else sent it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Run { command, to: To::Caller(_), .. } => weight(command),
            Self::Run { .. } => 0,
            Self::Look(_) => 1,
        }
    }

    /// Ends it without an outcome.
    pub(super) fn refuse(self, error: CallError) {
        match self {
            Self::Run { to: To::Caller(reply), .. } => _ = reply.send(Err(error)),
            Self::Run { .. } => {}
            Self::Look(look) => look.answer(Some(error)),
        }
    }
}

/// A job that has run.
pub(super) struct Ran {
    pub(super) job: Job,
    /// `None` for a look, which keeps its own.
    pub(super) answer: Option<Answer>,
}

/// Bytes of an input that count as much as one more command.
const WEIGHED_BYTES: usize = 1 << 10;

/// How much of a partition's queue a command takes: a batch as many commands as it has items, and large inputs more.
pub(crate) fn weight(command: &Command) -> usize {
    let Command::Submit(submit) = command else { return 1 };
    let weight = |item: &Submission| 1 + item.input.bytes.len() / WEIGHED_BYTES;
    submit.items.iter().map(weight).sum::<usize>().max(1)
}

/// The execution a command is about: commands about one keep their order.
pub(super) fn subject(command: &Command) -> Option<ExecutionId> {
    match command {
        Command::Heartbeat(c) => Some(c.lease.execution),
        Command::Complete(c) => Some(c.lease.execution),
        Command::Fail(c) => Some(c.lease.execution),
        Command::Release(c) => Some(c.lease.execution),
        Command::BeginStep(c) => Some(c.lease.execution),
        Command::RecordStep(c) => Some(c.lease.execution),
        Command::Log(c) => Some(c.lease.execution),
        Command::Cancel(c) => Some(c.id),
        Command::Replay(c) => Some(c.id),
        Command::Act(c) => Some(c.id),
        Command::Tag(c) => Some(c.id),
        Command::Fire(c) => Some(c.id),
        Command::Trim(c) => Some(c.id),
        Command::Suspend(c) => Some(c.lease.execution),
        Command::ChargeLease(c) => Some(c.lease.execution),
        Command::LeaseBudgets(c) => Some(c.lease.execution),
        Command::Recharge(c) => Some(c.execution),
        Command::Show(c) => Some(c.id),
        Command::Peek(c) => Some(c.id),
        Command::Why(c) => Some(c.id),
        Command::SetBudget(_)
        | Command::DeleteBudget(_)
        | Command::ChargeBudget(_)
        | Command::ChargeHold(_)
        | Command::BookCharge(_)
        | Command::Refund(_)
        | Command::Adjust(_)
        | Command::HoldBudget(_)
        | Command::ExtendHold(_)
        | Command::SettleHold(_)
        | Command::ReleaseHold(_)
        | Command::Elapse(_)
        | Command::ShowBudget(_)
        | Command::ListBudgets(_)
        | Command::CheckUses(_)
        | Command::ShowPlace(_)
        | Command::Unverified(_)
        | Command::Verify(_)
        | Command::Reconcile(_)
        | Command::RollUpLedger(_)
        | Command::FoldLedger(_)
        | Command::SweepLedger(_)
        | Command::TrimLedger(_)
        | Command::SetPrices(_)
        | Command::SetNamespace(_)
        | Command::Submit(_)
        | Command::Claim(_)
        | Command::UnlistedLeases(_)
        | Command::Unserved(_)
        | Command::SetLane(_)
        | Command::Bulk(_)
        | Command::Deliver(_)
        | Command::Acknowledge(_)
        | Command::TrimKey(_) => None,
    }
}
