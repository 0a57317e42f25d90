//! What a command is refused for.

use crate::ids::{BulkId, ExecutionId, HoldId};
use crate::key::Key;
use crate::model::{SUM_DIMENSIONS_MAX, Shortfall, State};

/// Why a command did nothing. Each has a stable code in the API.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// These records must be read first; the command is then run again.
    #[error("cold records needed")]
    Cold(Vec<Key>),
    /// No such execution, or another namespace's.
    #[error("no execution {0}")]
    NotFound(ExecutionId),
    /// The lease is not valid, or no longer.
    #[error("the lease is not valid: it expired, was taken away, or a newer one exists")]
    LeaseLost,
    /// It ended with another body than this.
    #[error("the attempt has already ended, with another result")]
    AlreadyCompleted,
    /// It has ended.
    #[error("the execution has already ended: {}", .0.name())]
    Finished(State),
    /// It has not ended.
    #[error("the execution has not ended: {}", .0.name())]
    NotFinished(State),
    /// The key stands for another body.
    #[error("the idempotency key already stands for {existing}, submitted with another body")]
    IdempotencyConflict {
        /// The execution it stands for.
        existing: ExecutionId,
    },
    /// The lane holds as much as it may.
    #[error("lane {lane} holds {length} executions, its maximum")]
    LaneFull {
        /// The lane.
        lane: String,
        /// Its `max_length`.
        length: u64,
    },
    /// The lane takes no new work.
    #[error("lane {lane} is draining")]
    LaneDraining {
        /// The lane.
        lane: String,
    },
    /// Too many kinds and requirements in one lane.
    #[error("lane {lane} already has {max} different combinations of kind and requirements")]
    TooManyGroups {
        /// The lane.
        lane: String,
        /// The limit.
        max: usize,
    },
    /// It would have too many tags.
    #[error("an execution has at most {max} tags")]
    TooManyTags {
        /// The limit.
        max: usize,
    },
    /// No such job, or another namespace's.
    #[error("no bulk job {0}")]
    BulkNotFound(BulkId),
    /// Too many jobs run.
    #[error("{max} bulk jobs are running here already")]
    TooManyBulks {
        /// The limit.
        max: usize,
    },
    /// The execution's log has no room for these lines.
    #[error("the execution's log is full: there is room for {lines} more lines and {bytes} more bytes")]
    LogFull {
        /// Lines that there is room for.
        lines: u32,
        /// Bytes that there is room for.
        bytes: u32,
    },
    /// No such step has begun in this execution.
    #[error("step {step} was not begun under this lease")]
    StepNotStarted {
        /// Its key.
        step: String,
    },
    /// The step has another result.
    #[error("step {step} already has another result")]
    StepAlreadyRecorded {
        /// Its key.
        step: String,
    },
    /// It has no lease to take.
    #[error("the execution is not running: {}", .0.name())]
    NotRunning(State),
    /// No such step to replay from.
    #[error("no step {step} in the journal")]
    StepNotFound {
        /// Its key.
        step: String,
    },
    /// There is no such budget.
    #[error("no budget {path}")]
    BudgetNotFound {
        /// The path.
        path: String,
    },
    /// There is no such window.
    #[error("the budget has no window {window}")]
    WindowNotFound {
        /// Its name.
        window: String,
    },
    /// Not enough is free.
    #[error("budget {} lacks {} {} in window {}", .0.path, .0.missing, .0.dimension, .0.window)]
    BudgetExhausted(Box<Shortfall>),
    /// More than a limit could ever allow.
    #[error("window {} of budget {} never has more than {} {}", .0.window, .0.path, .0.limit, .0.dimension)]
    HoldTooLarge(Box<Shortfall>),
    /// The change was meant for an earlier generation of the budget.
    #[error("budget {path} has changed: its generation is {generation}")]
    BudgetChanged {
        /// The path.
        path: String,
        /// What it is.
        generation: u64,
    },
    /// Money is held under the budget.
    #[error("budget {path} has {holds} open holds")]
    BudgetHeld {
        /// The path.
        path: String,
        /// Holds at it and below.
        holds: usize,
    },
    /// The model has no price.
    #[error("the price table has no price for model {model}")]
    PriceUnknown {
        /// The model.
        model: String,
    },
    /// The usage makes no sense.
    #[error("the usage can't be priced: {reason}")]
    UsageWrong {
        /// Why.
        reason: String,
    },
    /// The id stands for something else.
    #[error("{charge} already stands for other amounts")]
    ChargeConflict {
        /// The id.
        charge: String,
    },
    /// The id of a top-up stands for something else.
    #[error("the top-up {id} is for other amounts, another window, or until another time")]
    TopUpConflict {
        /// The id.
        id: String,
    },
    /// What is left of a top-up would go before it comes.
    #[error("the top-up {id} would have expired before it comes")]
    TopUpExpired {
        /// The id.
        id: String,
    },
    /// One of several charges is refused, and with it all.
    #[error("{refusal}")]
    OfCharge {
        /// Which, from 0.
        n: usize,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// No such charge in the tree.
    #[error("no charge {charge} was booked here")]
    ChargeNotFound {
        /// Its id.
        charge: String,
    },
    /// No such charge in the tree, whose ledger does not reach back to its beginning.
    #[error("no charge {charge} is in the ledger, of which what is older than its retention is gone")]
    ChargeNotKept {
        /// Its id.
        charge: String,
    },
    /// More than was charged.
    #[error("more would be refunded than {charge} has charged")]
    RefundTooLarge {
        /// The charge's id.
        charge: String,
    },
    /// A sum does not fit.
    #[error("the sum of {dimension} does not fit in 64 bits, or into {SUM_DIMENSIONS_MAX} dimensions")]
    AmountOverflow {
        /// The dimension.
        dimension: String,
    },
    /// No such hold, or it has ended.
    #[error("no open hold {hold}: it is in doubt, has ended, or never was")]
    HoldNotFound {
        /// Its id.
        hold: HoldId,
    },
    /// The hold's id stands for another hold.
    #[error("the id already stands for another hold")]
    HoldConflict {
        /// The hold.
        hold: HoldId,
    },
    /// Too many top-ups are open.
    #[error("a window has at most {max} open top-ups")]
    TooManyTopUps {
        /// The limit.
        max: usize,
    },
    /// Nobody has asked it to stop.
    #[error("the lease was not asked to stop")]
    NotStopping,
    /// A record can't be read.
    #[error("a record of this partition can't be read: {0}")]
    Corrupt(String),
}
