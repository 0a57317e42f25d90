//! What happened, in order per partition: the log's content, and what waiters are woken by.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::Millis;
use crate::ids::ExecutionId;

/// What happened to an execution (or, without one, to the partition).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum EventKind {
    /// Accepted, and ready or scheduled.
    #[n(0)]
    Submitted,
    /// Its time has come.
    #[n(1)]
    Ready,
    /// A worker holds it.
    #[n(2)]
    Leased,
    /// Given back unused.
    #[n(3)]
    Released,
    /// The lease expired without its worker's word.
    #[n(4)]
    Crashed,
    /// The attempt failed; another follows.
    #[n(5)]
    AttemptFailed,
    /// The attempt ran out of time; another follows.
    #[n(6)]
    AttemptTimedOut,
    /// An operator took the lease away.
    #[n(7)]
    Revoked,
    /// Asked to stop.
    #[n(8)]
    CancelRequested,
    /// Held back.
    #[n(9)]
    Paused,
    /// No longer held back.
    #[n(10)]
    Resumed,
    /// Its priority changed.
    #[n(11)]
    PriorityChanged,
    /// Runs again after its end.
    #[n(12)]
    Replayed,
    /// Ended well.
    #[n(13)]
    Completed,
    /// Ended badly.
    #[n(14)]
    Failed,
    /// Ended by request.
    #[n(15)]
    Cancelled,
    /// Ended by the clock.
    #[n(16)]
    Expired,
    /// Removed after its retention.
    #[n(17)]
    Trimmed,
    /// A lane's settings changed here.
    #[n(18)]
    LaneChanged,
    /// Acknowledged writes were found lost: a new timeline began.
    #[n(19)]
    WritesLost,
    /// It waits for a budget.
    #[n(20)]
    Blocked,
    /// A budget or a cap asks it to stop.
    #[n(21)]
    StopRequested,
    /// It stopped, and waits for money.
    #[n(22)]
    Suspended,
    /// A budget was made, or changed.
    #[n(23)]
    BudgetChanged,
    /// A budget was deleted.
    #[n(24)]
    BudgetDeleted,
    /// More was given to a budget for once.
    #[n(25)]
    BudgetToppedUp,
    /// Somebody waits for what a budget lacks.
    #[n(26)]
    BudgetExhausted,
    /// What a budget has used exceeds a hard limit.
    #[n(27)]
    BudgetBreached,
    /// It does no longer.
    #[n(28)]
    BudgetCleared,
    /// What a budget has used has reached a soft limit.
    #[n(29)]
    BudgetSoftLimit,
    /// A budget's sums were not the ledger's, and were corrected.
    #[n(30)]
    BudgetRepaired,
    /// A charge without a price, or without a budget, was kept aside.
    #[n(31)]
    ChargeQuarantined,
    /// A price table changed here.
    #[n(32)]
    PricesChanged,
    /// A worker has spent under a lease of it.
    #[n(33)]
    Charged,
    /// A namespace's settings changed here.
    #[n(34)]
    NamespaceChanged,
    /// Nobody waits for a budget that was exhausted any more.
    #[n(35)]
    BudgetOpened,
    /// Money was set aside without an execution, or more of it.
    #[n(36)]
    BudgetHeld,
    /// What was set aside without an execution is over.
    #[n(37)]
    BudgetReleased,
    /// Somebody has spent without an execution.
    #[n(38)]
    BudgetCharged,
    /// Some of a charge was given back.
    #[n(39)]
    BudgetRefunded,
    /// What a budget has used was set right by hand.
    #[n(40)]
    BudgetAdjusted,
    /// What a period left was added to the next.
    #[n(41)]
    BudgetCarriedOver,
    /// What a budget has used and holds exceeds a hard limit.
    #[n(42)]
    BudgetOvercommitted,
    /// It does no longer.
    #[n(43)]
    BudgetCovered,
}

/// Every kind, each at the index that is its code.
const KINDS: [EventKind; 44] = {
    use EventKind::*;
    [
        Submitted,
        Ready,
        Leased,
        Released,
        Crashed,
        AttemptFailed,
        AttemptTimedOut,
        Revoked,
        CancelRequested,
        Paused,
        Resumed,
        PriorityChanged,
        Replayed,
        Completed,
        Failed,
        Cancelled,
        Expired,
        Trimmed,
        LaneChanged,
        WritesLost,
        Blocked,
        StopRequested,
        Suspended,
        BudgetChanged,
        BudgetDeleted,
        BudgetToppedUp,
        BudgetExhausted,
        BudgetBreached,
        BudgetCleared,
        BudgetSoftLimit,
        BudgetRepaired,
        ChargeQuarantined,
        PricesChanged,
        Charged,
        NamespaceChanged,
        BudgetOpened,
        BudgetHeld,
        BudgetReleased,
        BudgetCharged,
        BudgetRefunded,
        BudgetAdjusted,
        BudgetCarriedOver,
        BudgetOvercommitted,
        BudgetCovered,
    ]
};

impl EventKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: &'static [EventKind] = &KINDS;

    /// Its number in records.
    pub(crate) fn code(self) -> i64 {
        self as i64
    }

    /// The kind of that number, if this build knows it.
    pub(crate) fn from_code(code: i64) -> Option<Self> {
        KINDS.get(usize::try_from(code).ok()?).copied()
    }

    /// The event's name in the API, in snake_case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Released => "released",
            Self::Crashed => "crashed",
            Self::AttemptFailed => "attempt_failed",
            Self::AttemptTimedOut => "attempt_timed_out",
            Self::Revoked => "revoked",
            Self::CancelRequested => "cancel_requested",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::PriorityChanged => "priority_changed",
            Self::Replayed => "replayed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Trimmed => "trimmed",
            Self::LaneChanged => "lane_changed",
            Self::WritesLost => "writes_lost",
            Self::Blocked => "blocked",
            Self::StopRequested => "stop_requested",
            Self::Suspended => "suspended",
            Self::BudgetChanged => "budget_changed",
            Self::BudgetDeleted => "budget_deleted",
            Self::BudgetToppedUp => "budget_topped_up",
            Self::BudgetExhausted => "budget_exhausted",
            Self::BudgetBreached => "budget_breached",
            Self::BudgetCleared => "budget_cleared",
            Self::BudgetSoftLimit => "budget_soft_limit",
            Self::BudgetRepaired => "budget_repaired",
            Self::ChargeQuarantined => "charge_quarantined",
            Self::PricesChanged => "prices_changed",
            Self::Charged => "charged",
            Self::NamespaceChanged => "namespace_changed",
            Self::BudgetOpened => "budget_opened",
            Self::BudgetHeld => "budget_held",
            Self::BudgetReleased => "budget_released",
            Self::BudgetCharged => "budget_charged",
            Self::BudgetRefunded => "budget_refunded",
            Self::BudgetAdjusted => "budget_adjusted",
            Self::BudgetCarriedOver => "budget_carried_over",
            Self::BudgetOvercommitted => "budget_overcommitted",
            Self::BudgetCovered => "budget_covered",
        }
    }

    /// Whether nothing follows it but a replay.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Whether a worker that holds a lease must hear of it.
    pub fn takes_lease(self) -> bool {
        matches!(
            self,
            Self::Crashed
                | Self::AttemptTimedOut
                | Self::Revoked
                | Self::Cancelled
                | Self::Expired
                | Self::CancelRequested
                | Self::StopRequested
                | Self::Suspended
        )
    }
}

/// One event. Its time is its batch's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When, by the partition's clock.
    pub at: Millis,
    /// What.
    pub kind: EventKind,
    /// To which execution; `None` for the partition.
    pub execution: Option<ExecutionId>,
    /// Its attempt, 0 before the first.
    pub attempt: u32,
    /// To which budget: namespace and path, separated by a zero byte.
    pub budget: Option<Arc<str>>,
}

impl Event {
    /// One of an execution.
    pub fn of(at: Millis, kind: EventKind, execution: ExecutionId, attempt: u32) -> Self {
        Self { at, kind, execution: Some(execution), attempt, budget: None }
    }

    /// One of the partition.
    pub fn own(at: Millis, kind: EventKind) -> Self {
        Self { at, kind, execution: None, attempt: 0, budget: None }
    }
}

/// Encodes a batch's events: `[at, [kind, id, attempt, ...]]` in CBOR, flat to stay small; a budget's have its name for an id.
pub fn encode_log(events: &[Event]) -> Vec<u8> {
    let mut out = minicbor::Encoder::new(Vec::with_capacity(16 + events.len() * 22));
    let at = events.first().map_or(0, |e| e.at);
    // Writing to a Vec can't fail.
    let _ = out.array(2).and_then(|e| e.i64(at)).and_then(|e| e.array(events.len() as u64 * 3)).map(|_| ());
    for event in events {
        let id = event.execution.map(|id| id.0);
        let _ = out
            .encode(event.kind)
            .and_then(|e| match (id, &event.budget) {
                (Some(id), _) => e.bytes(&id),
                (None, Some(budget)) => e.str(budget),
                (None, None) => e.null(),
            })
            .and_then(|e| e.u32(event.attempt))
            .map(|_| ());
    }
    out.into_writer()
}

/// Reads what [`encode_log`] wrote.
pub fn decode_log(bytes: &[u8]) -> Result<Vec<Event>, minicbor::decode::Error> {
    let mut input = minicbor::Decoder::new(bytes);
    input.array()?;
    let at = input.i64()?;
    let fields = input.array()?.unwrap_or(0);
    (0..fields / 3)
        .map(|_| {
            let kind = input.decode()?;
            let mut budget = None;
            let execution = match input.datatype()? {
                minicbor::data::Type::String => {
                    budget = Some(input.str()?.into());
                    None
                }
                minicbor::data::Type::Null => {
                    input.null()?;
                    None
                }
                _ => {
                    let id = <[u8; 16]>::try_from(input.bytes()?)
                        .map_err(|_| minicbor::decode::Error::message("an id has 16 bytes"))?;
                    Some(ExecutionId(id))
                }
            };
            Ok(Event { at, kind, execution, attempt: input.u32()?, budget })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_numbers_of_the_encoding() {
        for (code, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind.code(), code as i64);
            assert_eq!(EventKind::from_code(code as i64), Some(kind));
            assert_eq!(minicbor::to_vec(kind).unwrap(), minicbor::to_vec(code as u64).unwrap());
        }
        assert_eq!(EventKind::from_code(KINDS.len() as i64), None);
        assert_eq!(EventKind::from_code(-1), None);
    }

    #[test]
    fn a_log_reads_back() {
        let id = ExecutionId([7; 16]);
        let events = [
            Event::of(5, EventKind::Submitted, id, 0),
            Event::own(5, EventKind::WritesLost),
            Event { budget: Some("default\0acme/search".into()), ..Event::own(5, EventKind::BudgetBreached) },
        ];
        assert_eq!(decode_log(&encode_log(&events)).unwrap(), events);
    }
}
