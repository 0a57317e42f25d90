//! Requests, replies and error codes: what server and clients say to each other, and nothing else.
//!
//! This crate never does I/O, knows no rule of the engine and holds no default: an absent field is `None`
//! here, and `stint-core` alone says what it means. Requests refuse unknown fields; replies ignore them, so
//! that an older client can read a newer server.
//!
//! Where to look next: [`SubmitRequest`] for what a piece of work is, [`ExchangeRequest`] for all a worker
//! says, [`Code`] for everything that may go wrong, [`Limits`] for how large things may be, [`decode`] for how
//! a body becomes a request or a [`Problem`] that names the field.
//!
//! `validate` on a request checks what can be checked without an engine: sizes, ranges, names. The engine
//! calls it, so that the in-process client is held to the same rules as HTTP.

mod action;
mod amounts;
mod batch;
mod budget;
mod budget_change;
mod budget_path;
mod budget_use;
mod bulk;
mod charge;
mod check;
mod code;
mod decode;
mod doctor;
mod event;
mod exchange;
mod exchange_charge;
mod execution;
mod failure;
mod filter;
mod hold;
mod instant;
mod lane;
mod lease;
mod ledger;
mod limits;
mod list;
mod log;
mod namespace;
mod object;
#[cfg(feature = "openapi")]
pub mod openapi;
mod outcome;
mod payload;
mod prices;
mod problem;
mod progress;
mod ready;
mod request_key;
mod retry;
mod soft_limit;
mod state;
mod step;
mod store;
mod submit;
mod thousandths;
mod usage;
mod why;
mod worker;

pub use action::{ActionReply, ActionRequest, CancelRequest, PriorityRequest, ReplayRequest, TagRequest};
pub use amounts::Amounts;
pub use batch::{BatchReply, BatchRequest, BatchResult};
pub use budget::{
    Budget, BudgetLimit, BudgetSettings, BudgetState, BudgetWindow, BudgetsReply, DeleteBudgetReply, OnHard,
    Period, TopUp, WindowKind, WindowSettings,
};
pub use budget_change::{
    AdjustRequest, BudgetChargeRequest, BudgetDrift, BudgetStray, DriftOf, RaiseRequest, ReconcileReply,
    ReconcileRequest, RefundRequest, TopUpRequest,
};
pub use budget_path::check_path;
pub use budget_use::{BudgetUse, WALL_CLOCK_MS};
pub use bulk::{BulkAction, BulkError, BulkJob, BulkReply, BulkRequest, BulkState, BulksReply};
pub use charge::{ChargeReply, ChargeRequest, OverCap};
pub use check::check_namespace;
pub use code::{Class, Code};
pub use decode::decode;
pub use doctor::{Check, CheckLevel, DoctorReply};
pub use event::{EventsReply, ExecutionEvent};
pub use exchange::{
    Answer, ExchangeAnswer, ExchangeLease, ExchangeLog, ExchangeReply, ExchangeRequest, ExchangeResult,
    ExchangeStep, ExchangeStop,
};
pub use exchange_charge::{ExchangeCharge, ExchangeHold};
pub use execution::{AttemptOutcome, AttemptView, Execution, ResultReply};
pub use failure::Failure;
pub use filter::ExecutionFilter;
pub use hold::{
    ExtendReply, ExtendRequest, HoldReply, HoldRequest, LeaseHoldRequest, ReleaseHoldReply,
    ReleaseHoldRequest, SettleCharge, SettleReply, SettleRequest, Shortfall,
};
pub use instant::{Instant, InstantError};
pub use lane::{Lane, LaneReply, LaneRequest, LaneSettings, LanesReply};
pub use lease::{
    HeartbeatReply, HeartbeatRequest, HeldBudget, Lease, LeaseReply, LeaseRequest, LeasedExecution, Stop,
    StopAction,
};
pub use ledger::{
    LedgerEntry, LedgerKind, LedgerLine, LedgerReply, LedgerRequest, ReportBy, ReportEvery, ReportReply,
    ReportRequest, ReportRow, RunsOut,
};
pub use limits::*;
pub use list::{CountReply, CountRequest, ExecutionSummary, ListReply, ListRequest};
pub use log::{LogLine, LogReply, LogRequest, LogsReply};
pub use namespace::{Namespace, NamespaceReply, NamespaceSettings};
pub use outcome::{CompleteRequest, EndReply, FailRequest, Outcome, ReleaseRequest, SuspendedRequest};
pub use payload::Payload;
pub use prices::{Price, PricesReply, PricesRequest, Unpriced};
pub use problem::Problem;
pub use progress::Progress;
pub use ready::ReadyReply;
pub use request_key::RequestKey;
pub use retry::{Backoff, BackoffKind, Retry};
pub use soft_limit::SoftLimit;
pub use state::ExecutionState;
pub use step::{StepEntry, StepReply, StepRequest, StepResultRequest, StepState, StepView, StepsReply};
pub use store::{PARTITION_MAX, PartitionReport, RecordCount, StoreMember, StoreReport, StoredRecord};
pub use submit::{SubmitReply, SubmitRequest};
pub use thousandths::{Thousandths, ThousandthsError};
pub use usage::Usage;
pub use why::{Waiting, WaitingForBudget, WhyReply};
pub use worker::{SessionWorker, WorkerInfo, WorkerRef, WorkerReply, WorkerRequest, WorkersReply};
