//! What the rules refuse, and what fails on the way, as problems of the API.

use stint_api::{Code, Problem};
use stint_core::ids::Malformed;
use stint_core::model::Shortfall;
use stint_core::{ExecutionId, LeaseRef, Refusal};

use super::budget;
use crate::error::CallError;

/// When a caller should try again that was refused because too much is under way.
const OVERLOADED_RETRY_MS: u64 = 500;

/// When a caller should try again while there is no room.
const FULL_RETRY_MS: u64 = 10_000;

/// When a caller should try again while the store does not answer, or the server is shutting down.
const AWAY_RETRY_MS: u64 = 1_000;

/// An execution's id, as a request names it.
pub(crate) fn execution_id(text: &str) -> Result<ExecutionId, Problem> {
    text.parse().map_err(|malformed| malformed_id("id", malformed))
}

/// A lease, as a request names it. What was sent is not repeated: it may be most of a secret.
pub(crate) fn lease_ref(text: &str) -> Result<LeaseRef, Problem> {
    text.parse().map_err(|malformed| malformed_id("lease", malformed))
}

fn malformed_id(field: &'static str, malformed: Malformed) -> Problem {
    Problem::new(Code::MalformedId, format!("expected {}", malformed.expected)).at(field)
}

/// A call that has no outcome.
pub(crate) fn problem(error: CallError) -> Problem {
    match error {
        CallError::Refused(refusal) => refused(refusal),
        CallError::Overloaded => Problem::new(Code::Overloaded, "too many commands wait in this partition")
            .retry_after_ms(OVERLOADED_RETRY_MS),
        CallError::DiskFull => Problem::new(
            Code::DiskFull,
            "the store is below its low-water mark, only what ends work is taken",
        )
        .retry_after_ms(FULL_RETRY_MS),
        CallError::Store(reason) => {
            Problem::new(Code::StoreUnavailable, reason).retry_after_ms(AWAY_RETRY_MS)
        }
        CallError::Internal => Problem::new(Code::Internal, "a rule failed; nothing was changed"),
        CallError::Draining => draining(),
    }
}

/// The engine is shutting down.
pub(crate) fn draining() -> Problem {
    Problem::new(Code::Draining, "the engine is shutting down").retry_after_ms(AWAY_RETRY_MS)
}

/// What core answered makes no sense for what was asked: a defect of ours.
pub(crate) fn unexpected() -> Problem {
    tracing::error!("a command was answered with another command's outcome");
    Problem::new(Code::Internal, "a command was answered with another command's outcome")
}

/// What the rules refuse.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    let of = |code| Problem::new(code, detail.clone());
    let short = |code, shortfall: &Shortfall| of(code).shortfall(budget::shortfall(shortfall));
    match refusal {
        Refusal::NotFound(_) | Refusal::BulkNotFound(_) => of(Code::NotFound),
        Refusal::LeaseLost => of(Code::LeaseLost),
        Refusal::AlreadyCompleted => of(Code::AlreadyCompleted),
        Refusal::Finished(_) => of(Code::ExecutionFinished),
        Refusal::NotFinished(_) => of(Code::ExecutionNotFinished),
        Refusal::NotRunning(_) => of(Code::WrongState),
        Refusal::IdempotencyConflict { .. } => of(Code::IdempotencyConflict).at("idempotency_key"),
        Refusal::LaneFull { .. } => of(Code::LaneFull).retry_after_ms(FULL_RETRY_MS),
        Refusal::LaneDraining { .. } => of(Code::LaneDraining),
        Refusal::TooManyGroups { .. } => of(Code::TooManyGroups).retry_after_ms(FULL_RETRY_MS),
        Refusal::TooManyTags { .. } => of(Code::InvalidField).at("tags"),
        Refusal::TooManyBulks { .. } => {
            of(Code::Overloaded).remedy("Wait until one of them is done.").retry_after_ms(FULL_RETRY_MS)
        }
        Refusal::LogFull { .. } => of(Code::LogFull).at("lines"),
        Refusal::StepNotStarted { .. } => of(Code::StepNotStarted),
        Refusal::StepAlreadyRecorded { .. } => of(Code::StepAlreadyRecorded),
        Refusal::StepNotFound { .. } => of(Code::NotFound).at("from_step"),
        Refusal::BudgetNotFound { .. } => of(Code::BudgetNotFound),
        Refusal::WindowNotFound { .. } => of(Code::NotFound).at("window"),
        Refusal::BudgetExhausted(shortfall) => short(Code::BudgetExhausted, &shortfall),
        Refusal::HoldTooLarge(shortfall) => short(Code::HoldTooLarge, &shortfall),
        Refusal::BudgetChanged { .. } => of(Code::BudgetChanged).at("generation"),
        Refusal::BudgetHeld { .. } => of(Code::BudgetHeld),
        Refusal::PriceUnknown { .. } => of(Code::PriceUnknown).at("usage.model"),
        Refusal::UsageWrong { .. } => of(Code::InvalidField).at("usage"),
        Refusal::ChargeConflict { .. } => of(Code::ChargeConflict),
        Refusal::OfCharge { n, refusal } => refused(*refusal).within(format_args!("charges[{n}]")),
        Refusal::ChargeNotFound { .. } | Refusal::HoldNotFound { .. } => of(Code::NotFound),
        Refusal::ChargeNotKept { .. } => of(Code::ChargeNotKept),
        Refusal::RefundTooLarge { .. } => of(Code::InvalidField).at("amounts"),
        Refusal::AmountOverflow { .. } => of(Code::AmountOverflow),
        Refusal::HoldConflict { .. } | Refusal::TopUpConflict { .. } => {
            of(Code::IdempotencyConflict).at("id")
        }
        Refusal::TopUpExpired { .. } => of(Code::InvalidField).at("expires_at"),
        Refusal::TooManyTopUps { .. } | Refusal::NotStopping => of(Code::WrongState),
        Refusal::Corrupt(_) | Refusal::Cold(_) => {
            tracing::error!(%detail, "a command was refused for a fault of ours");
            of(Code::Internal)
        }
    }
}
