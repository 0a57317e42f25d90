//! Which codes an endpoint may answer with, beside those that every endpoint of its kind has.

use std::collections::BTreeMap;

use serde_json::json;
use stint_api::Code;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::{RefOr, Response, ResponseBuilder};

/// The extension of a response that lists its codes.
pub(crate) const CODES: &str = "x-codes";

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($code:ident)*;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$(Code::$code),*])
            }
        }
    )*};
}

problems! {
    /// Adds work.
    Submits: PayloadTooLarge IdempotencyConflict LaneFull TooManyGroups LaneDraining NotAvailable DiskFull BudgetNotFound
        HoldTooLarge AmountOverflow;
    /// Acts on an execution.
    Acts: ExecutionFinished ExecutionNotFinished WrongState LaneDraining IdempotencyConflict DiskFull;
    /// Begins an action on many executions.
    Bulk: DiskFull;
    /// Takes leases.
    Claims: PayloadTooLarge DiskFull;
    /// Takes leases, and says what was spent.
    Exchanges: PayloadTooLarge DiskFull AmountOverflow;
    /// Changes a budget.
    SetsBudgets: BudgetNotFound BudgetChanged IdempotencyConflict AmountOverflow NotAvailable WrongState DiskFull;
    /// Reads a budget.
    NamesBudgets: BudgetNotFound;
    /// Deletes a budget.
    DeletesBudgets: BudgetNotFound BudgetHeld DiskFull;
    /// Sets money aside.
    Holds: BudgetNotFound BudgetExhausted HoldTooLarge IdempotencyConflict AmountOverflow DiskFull;
    /// Says what was spent.
    Spends: BudgetNotFound PriceUnknown ChargeConflict AmountOverflow DiskFull;
    /// Gives back what was spent.
    Refunds: BudgetNotFound ChargeNotKept ChargeConflict AmountOverflow DiskFull;
    /// Sets right what was spent.
    Adjusts: BudgetNotFound ChargeConflict AmountOverflow DiskFull;
    /// Says what an attempt spends.
    LeaseSpends: LeaseLost PriceUnknown ChargeConflict AmountOverflow DiskFull;
    /// Parks an attempt.
    Parks: LeaseLost AlreadyCompleted WrongState;
    /// Changes prices.
    SetsPrices: AmountOverflow DiskFull;
    /// Speaks for an attempt.
    Leased: LeaseLost;
    /// Ends an attempt.
    Ends: LeaseLost AlreadyCompleted PayloadTooLarge;
    /// Writes an attempt's log.
    Logs: LeaseLost LogFull DiskFull;
    /// Speaks of an attempt's steps.
    Steps: LeaseLost StepNotStarted StepAlreadyRecorded PayloadTooLarge DiskFull;
}

/// One response per status, with its codes.
pub(crate) fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().to_string()).or_default().push(code.as_str());
    }
    by_status
        .into_iter()
        .map(|(status, codes)| {
            let extensions = Extensions::builder().add(CODES, json!(codes)).build();
            (status, RefOr::T(ResponseBuilder::new().extensions(Some(extensions)).build()))
        })
        .collect()
}
