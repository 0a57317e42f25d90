//! Commands: one file each, of one shape: input, guard, change, outcome.

mod act;
mod budget;
mod bulk;
mod cancel;
mod claim;
mod complete;
mod context;
mod deliver;
mod ending;
mod fail;
mod fire;
mod heartbeat;
mod lane;
mod log;
mod namespace;
mod outbox;
mod peek;
mod permit;
mod prices;
mod refusal;
mod release;
mod replay;
mod show;
mod step;
mod submit;
mod tag;
mod trim;
mod unserved;
mod why;

pub use act::{Act, Action};
pub use budget::{
    Adjust, BookCharge, Booked, BudgetChange, BudgetView, ChargeBudget, ChargeHold, CheckUses, DeleteBudget,
    Drift, DriftOf, Elapse, ExtendAnswer, ExtendHold, FoldLedger, HoldBudget, HoldView, ListBudgets, Place,
    Reconcile, Recount, Refund, ReleaseHold, RollUpLedger, SetBudget, SettleHold, Settled, ShowBudget,
    ShowPlace, SweepLedger, TrimLedger, Unverified, Verify, WindowView, home as budget_home,
};
pub use bulk::{Bulk, BulkChange};
pub use cancel::{CANCEL_GRACE_MS, Cancel};
pub use claim::{Claim, ClaimFilter, Grant, UnlistedLeases};
pub use complete::Complete;
pub use deliver::{Acknowledge, Deliver, DeliverAnswer};
pub use fail::Fail;
pub use fire::Fire;
pub use heartbeat::{Heartbeat, Renewal, Stopping};
pub use lane::{LaneChange, SetLane};
pub use log::Log;
pub use namespace::{NamespaceChange, SetNamespace};
pub use peek::Peek;
pub use permit::{ChargeLease, Charged, LeaseBudgets, LeasePermit, Recharge, Spent, Suspend, wants};
pub use prices::SetPrices;
pub use refusal::Refusal;
pub use release::Release;
pub use replay::Replay;
pub use show::{Show, Shown};
pub use step::{BeginStep, RecordStep};
pub use submit::{GROUPS_MAX, Submission, Submit, Submitted};
pub use tag::{TAGS_MAX, Tag};
pub use trim::{Trim, TrimKey};
pub use unserved::Unserved;
pub(crate) use why::state_of;
pub use why::{AHEAD_MAX, Reason, Why, WhyAnswer};

use crate::Millis;
use crate::ids::{ExecutionId, PartitionId};
use crate::key::Key;
use crate::model::{BulkJob, Execution, LaneSettings, NamespaceSettings, PriceTable, State, StepOutcome};
use crate::partition::Partition;
use crate::txn::{Inputs, Txn};
use context::Context;

/// Everything a partition can be asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Accept work.
    Submit(Submit),
    /// Lease ready work to a worker.
    Claim(Claim),
    /// Give back leases that a worker's session does not list.
    UnlistedLeases(UnlistedLeases),
    /// End what work asks of budgets that no worker is there for.
    Unserved(Unserved),
    /// Renew a lease.
    Heartbeat(Heartbeat),
    /// End an attempt well.
    Complete(Complete),
    /// End an attempt badly.
    Fail(Fail),
    /// Give a lease back unused.
    Release(Release),
    /// Ask for a journaled step.
    BeginStep(BeginStep),
    /// Journal a step's result.
    RecordStep(RecordStep),
    /// Keep lines of an attempt's log.
    Log(Log),
    /// Stop an execution.
    Cancel(Cancel),
    /// Run an ended execution again.
    Replay(Replay),
    /// Pause, resume, revoke, or change priority.
    Act(Act),
    /// Add tags.
    Tag(Tag),
    /// Start, advance or stop an action on many executions.
    Bulk(Bulk),
    /// Do what the clock says is due for one execution.
    Fire(Fire),
    /// Change a lane's settings, at their home.
    SetLane(SetLane),
    /// Take messages from another partition.
    Deliver(Deliver),
    /// Drop messages that another partition has taken.
    Acknowledge(Acknowledge),
    /// Remove an ended execution and all that hangs on it.
    Trim(Trim),
    /// Forget an idempotency key whose execution is gone.
    TrimKey(TrimKey),
    /// Stop as a budget asked.
    Suspend(Suspend),
    /// Record what was spent under a lease.
    ChargeLease(ChargeLease),
    /// Tell a tree again what was charged.
    Recharge(Recharge),
    /// Say what a lease holds.
    LeaseBudgets(LeaseBudgets),
    /// Change a budget, or make one.
    SetBudget(SetBudget),
    /// Delete a budget.
    DeleteBudget(DeleteBudget),
    /// Book a charge on a path.
    ChargeBudget(ChargeBudget),
    /// Book a charge on a hold.
    ChargeHold(ChargeHold),
    /// Book a charge that an execution's partition has recorded.
    BookCharge(BookCharge),
    /// Give back what a charge took.
    Refund(Refund),
    /// See [`Adjust`].
    Adjust(Adjust),
    /// Set money aside without a lease.
    HoldBudget(HoldBudget),
    /// Ask for more under a hold.
    ExtendHold(ExtendHold),
    /// End a hold with what was spent.
    SettleHold(SettleHold),
    /// End a hold.
    ReleaseHold(ReleaseHold),
    /// Do what the clock says is due for budgets.
    Elapse(Elapse),
    /// Read a budget.
    ShowBudget(ShowBudget),
    /// Read budgets.
    ListBudgets(ListBudgets),
    /// Ask whether work may name budgets.
    CheckUses(CheckUses),
    /// Ask where an execution stands in a queue.
    ShowPlace(ShowPlace),
    /// Read counters that may differ from the ledger.
    Unverified(Unverified),
    /// Correct them.
    Verify(Verify),
    /// Ask which permits are still wanted.
    Reconcile(Reconcile),
    /// Roll up entries of a ledger.
    RollUpLedger(RollUpLedger),
    /// Fold roll-ups of hours into days.
    FoldLedger(FoldLedger),
    /// Drop roll-ups that were folded.
    SweepLedger(SweepLedger),
    /// Drop entries of a ledger.
    TrimLedger(TrimLedger),
    /// Read or change the price table.
    SetPrices(SetPrices),
    /// Read or change a namespace's settings.
    SetNamespace(SetNamespace),
    /// Read an execution.
    Show(Show),
    /// Read an execution's own record only.
    Peek(Peek),
    /// Explain what an execution waits for.
    Why(Why),
}

impl Command {
    /// Whether it brings new work in: refused first when there is no room.
    pub fn adds_work(&self) -> bool {
        matches!(self, Self::Submit(_) | Self::Replay(_))
    }

    /// Cold and ordered keys that it is certain to need, so that they are read before it first runs.
    pub fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        match self {
            Self::Submit(c) => c.cold_keys(),
            Self::Complete(c) => c.cold_keys(partition),
            Self::Fail(c) => c.cold_keys(partition),
            Self::Release(c) => c.cold_keys(partition),
            Self::BeginStep(c) => c.cold_keys(),
            Self::RecordStep(c) => c.cold_keys(),
            Self::Cancel(c) => c.cold_keys(partition),
            Self::Act(c) => c.cold_keys(partition),
            Self::Tag(c) => c.cold_keys(partition),
            Self::TrimKey(c) => c.cold_keys(),
            Self::Replay(c) => c.cold_keys(),
            Self::Trim(c) => c.cold_keys(),
            Self::Suspend(c) => c.cold_keys(partition),
            Self::ChargeLease(c) => c.cold_keys(partition),
            Self::Recharge(c) => c.cold_keys(partition),
            Self::Refund(c) => c.cold_keys(),
            Self::Adjust(c) => c.cold_keys(),
            Self::SetBudget(c) => c.cold_keys(),
            Self::RollUpLedger(c) => c.cold_keys(partition),
            Self::FoldLedger(c) => c.cold_keys(),
            Self::TrimLedger(c) => c.cold_keys(partition),
            Self::Show(c) => c.cold_keys(partition),
            Self::Peek(c) => c.cold_keys(partition),
            Self::Why(c) => c.cold_keys(partition),
            _ => Vec::new(),
        }
    }
}

/// What a command came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// One answer per submission, in order.
    Submitted(Vec<Result<Submitted, Refusal>>),
    /// Leases given, best first, maybe none; and executions whose permits were asked for, a slot each: they may be leased
    /// when the answers are here.
    Leased(Vec<Grant>, Vec<ExecutionId>),
    /// A charge as it was recorded.
    Charged(Box<Charged>),
    /// A charge as it was booked.
    Booked(Booked),
    /// A hold is over, and its last charges are booked.
    Settled(Settled),
    /// What a lease holds.
    Permits(Vec<LeasePermit>),
    /// A hold as it stands.
    Held(HoldView),
    /// The answer to an extend.
    Extended(ExtendAnswer),
    /// A budget as it stands.
    Budget(Box<BudgetView>),
    /// Budgets, by path.
    Budgets(Vec<BudgetView>),
    /// A place in a queue.
    Place(Place),
    /// What is to be counted.
    Unverified(Box<Recount>),
    /// What differed.
    Reconciled(Vec<Drift>),
    /// So many entries or roll-ups were dealt with.
    LedgerDone {
        /// How many.
        processed: u64,
        /// There are more.
        more: bool,
    },
    /// The ledger was trimmed or lost entries meanwhile: it has to be counted again.
    LedgerMoved,
    /// A price table.
    Prices(Box<PriceTable>),
    /// A namespace's settings.
    Namespace(NamespaceSettings),
    /// The lease holds.
    Renewed(Renewal),
    /// The attempt has ended; this is the execution's state now.
    Ended(State),
    /// The attempt has ended; another follows, not before this.
    RetryAt(Millis),
    /// The answer to a step.
    Step(StepOutcome),
    /// Done; this is the execution's state now.
    Acted(ExecutionId, State),
    /// An execution.
    Shown(Box<Shown>),
    /// An execution's own record.
    Peeked(Box<Execution>),
    /// So many lines are kept.
    Logged(usize),
    /// What it waits for.
    Why(Box<WhyAnswer>),
    /// The lane's settings now.
    Lane(Box<LaneSettings>),
    /// A job as it stands.
    Bulk(Box<BulkJob>),
    /// How a delivery ended.
    Delivered(DeliverAnswer),
    /// Its steps are gone; its charges have to be named before the rest goes.
    HasCharges,
    /// The lease was lost; what it had left in doubt is free.
    SettledLate,
    /// The chain to this partition begins anew: it may have lost what it was told.
    Restarted(PartitionId),
    /// Done, nothing to say.
    Done,
}

/// Runs one command. On `Err` nothing has changed, in the projection or in `txn`.
pub fn execute(
    partition: &mut Partition,
    txn: &mut Txn,
    command: &Command,
    inputs: &Inputs<'_>,
) -> Result<Outcome, Refusal> {
    let mark = txn.mark();
    let mut context = Context::new(partition, txn, inputs);
    let outcome = match command {
        Command::Submit(c) => c.run(&mut context),
        Command::Claim(c) => c.run(&mut context),
        Command::UnlistedLeases(c) => c.run(&mut context),
        Command::Unserved(c) => c.run(&mut context),
        Command::Heartbeat(c) => c.run(&mut context),
        Command::Complete(c) => c.run(&mut context),
        Command::Fail(c) => c.run(&mut context),
        Command::Release(c) => c.run(&mut context),
        Command::BeginStep(c) => c.run(&mut context),
        Command::RecordStep(c) => c.run(&mut context),
        Command::Log(c) => c.run(&mut context),
        Command::Cancel(c) => c.run(&mut context),
        Command::Replay(c) => c.run(&mut context),
        Command::Act(c) => c.run(&mut context),
        Command::Tag(c) => c.run(&mut context),
        Command::Bulk(c) => c.run(&mut context),
        Command::Fire(c) => c.run(&mut context),
        Command::SetLane(c) => c.run(&mut context),
        Command::Deliver(c) => c.run(&mut context),
        Command::Acknowledge(c) => c.run(&mut context),
        Command::Trim(c) => c.run(&mut context),
        Command::TrimKey(c) => c.run(&mut context),
        Command::Suspend(c) => c.run(&mut context),
        Command::ChargeLease(c) => c.run(&mut context),
        Command::Recharge(c) => c.run(&mut context),
        Command::LeaseBudgets(c) => c.run(&context),
        Command::SetBudget(c) => c.run(&mut context),
        Command::DeleteBudget(c) => c.run(&mut context),
        Command::ChargeBudget(c) => c.run(&mut context),
        Command::ChargeHold(c) => c.run(&mut context),
        Command::BookCharge(c) => c.run(&mut context),
        Command::Refund(c) => c.run(&mut context),
        Command::Adjust(c) => c.run(&mut context),
        Command::HoldBudget(c) => c.run(&mut context),
        Command::ExtendHold(c) => c.run(&mut context),
        Command::SettleHold(c) => c.run(&mut context),
        Command::ReleaseHold(c) => c.run(&mut context),
        Command::Elapse(c) => c.run(&mut context),
        Command::ShowBudget(c) => c.run(&context),
        Command::ListBudgets(c) => c.run(&context),
        Command::CheckUses(c) => c.run(&context),
        Command::ShowPlace(c) => c.run(&context),
        Command::Unverified(c) => c.run(&context),
        Command::Verify(c) => c.run(&mut context),
        Command::Reconcile(c) => c.run(&mut context),
        Command::RollUpLedger(c) => c.run(&mut context),
        Command::FoldLedger(c) => c.run(&mut context),
        Command::SweepLedger(c) => c.run(&mut context),
        Command::TrimLedger(c) => c.run(&mut context),
        Command::SetPrices(c) => c.run(&mut context),
        Command::SetNamespace(c) => c.run(&mut context),
        Command::Show(c) => c.run(&context),
        Command::Peek(c) => c.run(&context),
        Command::Why(c) => c.run(&context),
    };
    let outcome = match outcome {
        Ok(outcome) => work_off(&mut context).map(|()| outcome),
        refused => refused,
    };
    if outcome.is_err() {
        txn.undo_to(mark, partition);
    }
    outcome
}

/// Does what the partition has told itself meanwhile.
fn work_off(context: &mut Context<'_>) -> Result<(), Refusal> {
    let here = context.partition.id();
    while let Some(message) = context.next_note() {
        context.set_from(here);
        permit::take(context, here, &message)?;
    }
    Ok(())
}

/// Undoes what a command that panicked had done so far: `before` is [`Txn::savepoint`] from before it.
pub fn undo_panicked(partition: &mut Partition, txn: &mut Txn, before: crate::txn::Savepoint) {
    txn.undo_to(before.0, partition);
}
