//! What is said about money, and where each of it goes.

use stint_api::{
    AdjustRequest, BudgetChargeRequest, BudgetSettings, ChargeRequest, ExtendRequest, HoldRequest,
    LeaseHoldRequest, LedgerRequest, PricesRequest, RaiseRequest, ReconcileRequest, RefundRequest,
    ReleaseHoldRequest, ReportRequest, SettleRequest, SuspendedRequest, TopUpRequest,
};

use super::{Page, Target};

/// Everything there is to say about money. A budget's name is its path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Money {
    /// `PUT budgets/{path}`.
    SetBudget(String, BudgetSettings),
    /// `GET budgets/{path}`.
    Budget(Target),
    /// `DELETE budgets/{path}`.
    DeleteBudget {
        /// Which.
        of: Target,
        /// Whether what is held under it is in the way no longer.
        force: bool,
    },
    /// `GET budgets`.
    Budgets {
        /// Whose.
        namespace: String,
        /// Only this one and those below it.
        under: Option<String>,
        /// Which page.
        page: Page,
    },
    /// `POST budgets/{path}:raise`.
    Raise(String, RaiseRequest),
    /// `POST budgets/{path}:topup`.
    TopUp(String, TopUpRequest),
    /// `POST budgets/{path}:hold`.
    Hold(String, HoldRequest),
    /// `POST budgets/{path}:charge`.
    Charge(String, BudgetChargeRequest),
    /// `POST budgets/{path}:adjust`.
    Adjust(String, AdjustRequest),
    /// `POST budgets/{path}:refund`.
    Refund(String, RefundRequest),
    /// `POST budgets/{path}:reconcile`.
    Reconcile(String, ReconcileRequest),
    /// `GET budgets/{path}:ledger`.
    Ledger(Target, LedgerRequest),
    /// `GET budgets/{path}:report`.
    Report(Target, ReportRequest),
    /// `POST holds/{id}/extend`.
    ExtendHold(String, ExtendRequest),
    /// `POST holds/{id}/charge`.
    ChargeHold(String, BudgetChargeRequest),
    /// `POST holds/{id}/settle`.
    SettleHold(String, SettleRequest),
    /// `POST holds/{id}/release`.
    ReleaseHold(String, ReleaseHoldRequest),
    /// `GET prices`.
    Prices {
        /// Whose.
        namespace: String,
    },
    /// `PUT prices`.
    SetPrices(PricesRequest),
    /// `POST leases/{lease}/charge`.
    ChargeLease(String, ChargeRequest),
    /// `POST leases/{lease}/hold`.
    ExtendLease(String, LeaseHoldRequest),
    /// `POST leases/{lease}/suspended`.
    Suspended(String, SuspendedRequest),
}
