//! The stable codes of everything that may go wrong.

use std::fmt;

/// What a caller may conclude from an error about sending the same request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing was done. The same request may succeed later.
    Retryable,
    /// Nothing was done, and the same request will fail again.
    Permanent,
    /// It may have been done. Sending the same request under the same key settles it.
    Unknown,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal $class:ident $title:literal $remedy:literal;)*) => {
        /// A stable error code: clients decide by it, people read its page in `docs/errors/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it stands in a problem document.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// The same for every problem of this code.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// What to do about it, where the problem says nothing more specific.
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy,)* }
            }

            /// Whether to send the request again.
            pub fn class(self) -> Class {
                match self { $(Code::$variant => Class::$class,)* }
            }

            /// The code with this text, if this build knows it.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    /// The request as a whole makes no sense.
    InvalidRequest "invalid_request" 400 Permanent "The request is not valid"
        "Compare the request with docs/API.md.";
    /// A field that the request doesn't have.
    UnknownField "unknown_field" 400 Permanent "The request has an unknown field"
        "Remove the field or correct its name.";
    /// A field with a wrong value, of a wrong type, or missing.
    InvalidField "invalid_field" 400 Permanent "A field of the request is not valid"
        "Correct the field that is named.";
    /// Not JSON.
    MalformedJson "malformed_json" 400 Permanent "The body is not JSON"
        "Send one JSON document in UTF-8.";
    /// Not an id that this server could have given.
    MalformedId "malformed_id" 400 Permanent "The id is malformed"
        "Use the id or lease exactly as the server gave it.";
    /// Nothing of that name in this namespace, or no such endpoint.
    NotFound "not_found" 404 Permanent "Not found"
        "Check the id and the namespace.";
    /// The path exists, the method does not.
    MethodNotAllowed "method_not_allowed" 405 Permanent "The endpoint does not take this method"
        "Use a method that the Allow header names.";
    /// The body is not declared as JSON.
    UnsupportedMediaType "unsupported_media_type" 415 Permanent "The content type is not supported"
        "Send the body with Content-Type: application/json.";
    /// An input or output above its limit.
    PayloadTooLarge "payload_too_large" 413 Permanent "The input or output is too large"
        "Store the data elsewhere and pass a reference to it, or raise the server's payload limit.";
    /// A body above its limit.
    BodyTooLarge "body_too_large" 413 Permanent "The body is too large"
        "Send less at once, for example smaller batches.";
    /// The body did not arrive in time.
    RequestTimeout "request_timeout" 408 Retryable "The body did not arrive in time"
        "Send the request again, over a faster connection or in smaller parts.";
    /// The same key with another body.
    IdempotencyConflict "idempotency_conflict" 409 Permanent "The key was used with another request"
        "Use a new key for a new request, and the same body when sending again.";
    /// The lease has expired, was taken away, or was given back.
    LeaseLost "lease_lost" 409 Permanent "The lease is no longer valid"
        "Stop working on the execution: another attempt owns it or will.";
    /// The attempt was already ended, with another result.
    AlreadyCompleted "already_completed" 409 Permanent "The attempt has already ended with another result"
        "Keep the first result: an attempt ends once.";
    /// An action on an execution that has ended.
    ExecutionFinished "execution_finished" 409 Permanent "The execution has already finished"
        "Nothing is left to act on. Replay it to run it again.";
    /// A replay of an execution that has not ended.
    ExecutionNotFinished "execution_not_finished" 409 Permanent "The execution has not finished"
        "Wait for its end or cancel it first.";
    /// An action that the execution's state doesn't allow.
    WrongState "wrong_state" 409 Permanent "The execution's state does not allow this"
        "Read the execution and act on the state it is in.";
    /// The lane is at its maximum length.
    LaneFull "lane_full" 429 Retryable "The lane is full"
        "Wait until the lane is shorter, or raise its max_length.";
    /// The lane holds too many different combinations of kind and requirements.
    TooManyGroups "too_many_groups" 429 Retryable "The lane holds too many kinds of work"
        "Use fewer different kinds and requirements in one lane, or several lanes.";
    /// The lane takes no new work.
    LaneDraining "lane_draining" 409 Permanent "The lane is draining"
        "Submit to another lane, or resume this one.";
    /// A part of the API that this build does not have.
    NotAvailable "not_available" 501 Permanent "Not available in this version"
        "Leave the field out, or use a version that has it.";
    /// No budget of that path in this namespace.
    BudgetNotFound "budget_not_found" 404 Permanent "There is no such budget"
        "Create the budget with PUT /v1/budgets/{path}, or correct the path.";
    /// A budget has not enough for what was asked.
    BudgetExhausted "budget_exhausted" 409 Retryable "The budget is exhausted"
        "Wait for the next period or for running work to settle, or raise or top up the budget that is named.";
    /// More than a limit could ever allow.
    HoldTooLarge "hold_too_large" 409 Permanent "The hold is larger than the limit"
        "Ask for less, or raise the limit that is named.";
    /// The change was meant for an earlier generation of the budget.
    BudgetChanged "budget_changed" 409 Permanent "The budget has changed meanwhile"
        "Read the budget, and change it as it is now.";
    /// Money is held under the budget.
    BudgetHeld "budget_held" 409 Permanent "Money is held under the budget"
        "Wait until the holds have ended, or delete with force=true.";
    /// The model has no price.
    PriceUnknown "price_unknown" 409 Permanent "The model has no price"
        "Add the model to the price table, or charge amounts instead of usage.";
    /// No such charge in a ledger of which the oldest entries are gone.
    ChargeNotKept "charge_not_kept" 404 Permanent "The charge is not in the ledger any more"
        "Refund within the ledger's retention, or give it back with a top-up.";
    /// The charge's id stands for other amounts.
    ChargeConflict "charge_conflict" 409 Permanent "The charge was recorded with other amounts"
        "Give every charge an id of its own, and repeat a charge as it was.";
    /// A sum of amounts does not fit in 64 bits.
    AmountOverflow "amount_overflow" 400 Permanent "An amount is too large"
        "Use smaller amounts, or a larger unit.";
    /// The execution's log has no room for these lines.
    LogFull "log_full" 409 Permanent "The execution's log is full"
        "Write fewer or shorter lines, or keep them elsewhere and log where.";
    /// The step was not begun under this lease.
    StepNotStarted "step_not_started" 409 Permanent "The step was not begun"
        "Begin the step before recording its result.";
    /// The step has another result.
    StepAlreadyRecorded "step_already_recorded" 409 Permanent "The step already has another result"
        "Read the stored result and go on with it.";
    /// Too much at once.
    Overloaded "overloaded" 503 Retryable "The server has too much to do"
        "Send the request again after the time in Retry-After.";
    /// Below the low-water mark of disk: only what ends work is taken.
    DiskFull "disk_full" 507 Retryable "The store is almost full"
        "Free disk space. Running work may still end.";
    /// The store does not answer.
    StoreUnavailable "store_unavailable" 503 Unknown "The store is not available"
        "Send the same request again under the same Idempotency-Key.";
    /// The server did not finish the request in its time.
    HandlerTimeout "handler_timeout" 503 Unknown "The request was not done in time"
        "Send the same request again under the same Idempotency-Key.";
    /// The server is shutting down.
    Draining "draining" 503 Retryable "The server is shutting down"
        "Send the request again, to another node or after the restart.";
    /// A fault of ours.
    Internal "internal" 500 Unknown "The server failed"
        "Look into the server's log. Send the same request again under the same Idempotency-Key.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
