//! What handlers tell the exchange loop.

use std::sync::Arc;

use stint_api::{
    ChargeReply, ExchangeCharge, ExchangeHold, ExtendReply, Outcome, Payload, Problem, Progress, StepReply,
};
use tokio::sync::{mpsc, oneshot};

/// The loop's answer to a step that was begun.
pub(super) type StepAnswer = oneshot::Sender<Result<StepReply, Problem>>;

/// The loop's answer to a charge.
pub(super) type ChargeAnswer = oneshot::Sender<Result<ChargeReply, Problem>>;

/// The loop's answer to an ask for more.
pub(super) type HoldAnswer = oneshot::Sender<Result<ExtendReply, Problem>>;

/// Where handlers tell it.
pub(super) type Events = mpsc::UnboundedSender<Event>;

/// Something a handler did. At most a few per slot are ever under way, so the channel needs no bound.
#[derive(Debug)]
pub(super) enum Event {
    /// A handler came to an end; its slot is free.
    Ended {
        /// Its lease.
        lease: Arc<str>,
        /// Its end; `None` if it was stopped from outside.
        outcome: Option<Outcome>,
    },
    /// A handler asks whether to run a step, and waits.
    StepBegun {
        /// Its lease.
        lease: Arc<str>,
        /// The step's key.
        key: String,
        /// Where it waits.
        answer: StepAnswer,
    },
    /// A step was run. Nobody waits: whatever comes next for this lease is sent after it.
    StepRun {
        /// Its lease.
        lease: Arc<str>,
        /// The step's key.
        key: String,
        /// What it gave.
        output: Payload,
    },
    /// A handler wrote lines for people.
    Logged {
        /// Its lease.
        lease: Arc<str>,
        /// The lines.
        lines: Vec<String>,
    },
    /// Something was spent. It is said until it is answered, whatever becomes of the handler and of its lease.
    Charged {
        /// What.
        charge: ExchangeCharge,
        /// Where the handler waits, if it does.
        answer: ChargeAnswer,
    },
    /// A handler asks for more before it spends more, and waits.
    Asked {
        /// For what.
        hold: ExchangeHold,
        /// Where it waits.
        answer: HoldAnswer,
    },
    /// A handler came this far.
    Progress {
        /// Its lease.
        lease: Arc<str>,
        /// How far.
        progress: Progress,
    },
}
