//! What things are: executions and what they consist of, lanes, steps, messages between partitions.

mod amounts;
mod attempt;
mod budget;
mod bulk;
mod chain;
mod charge;
mod counters;
mod estimate;
mod execution;
mod group;
mod happened;
mod history;
mod hold;
mod idempotency;
mod lane;
mod log;
mod namespace;
mod payload;
mod policy;
mod policy_row;
mod price;
mod record;
mod rollup;
mod spec;
mod spending;
mod step;
mod wide;
mod window;

pub use amounts::{
    AmountOverflow, Amounts, AmountsError, DIMENSION_BYTES_MAX, DIMENSIONS_MAX, SUM_DIMENSIONS_MAX,
};
pub use attempt::{Attempt, AttemptOutcome, ErrorInfo};
pub use budget::{
    Budget, ESTIMATE_SHARE, IN_DOUBT_MS, Limit, OnHard, STOP_GRACE_MS, Soft, Window, is_under, levels, tree,
};
pub use bulk::{BULK_ERRORS_MAX, BULK_JOBS_MAX, BulkAction, BulkError, BulkJob, BulkState, BulkTally};
pub use chain::{ChainFrom, ChainTo, HeldPermit, Link, Message, PermitCharge};
pub use charge::{Charge, ChargeRecord, Entry, EntryKind, LeaseChargeRecord, TreeRecord};
pub use counters::{BudgetState, Counted, Counters, TOP_UPS_MAX, TopUp, Verified, WindowCounter};
pub use estimate::{ESTIMATED_FROM, Estimate};
pub use execution::{
    End, Execution, Fair, HISTORY_MAX, LastWord, Lease, MOVES, Move, Progress, State, Stop, StopReason,
    Transition, Worker,
};
pub use group::{Capabilities, Group, Requirement, RequirementError};
pub use happened::Happened;
pub use hold::{
    Ask, Denial, ENDED_HOLD_MS, EXTENDS_MAX, EndedHold, Extended, Hold, HoldKey, PermitKey, Shortfall,
};
pub use idempotency::{ID_RETENTION_MS, IdempotencyRecord, KEY_RETENTION_MS};
pub use lane::{AGE_STEP_MAX_MS, AGE_STEP_MS, LaneHome, LaneMode, LaneSettings, WEIGHT_MAX};
pub use log::{LOG_BYTES_MAX, LOG_LINES_MAX, LogRecord, LogSize};
pub use namespace::NamespaceSettings;
pub use payload::{Hash, INLINE_MAX, Payload, Stored};
pub use policy::{Backoff, BackoffKind, DEFAULT_POLICY, LATE_CHARGES_MS, Policy, RETENTION_MS, Retry};
pub use price::{
    CALLS, DEFAULT_CALLS, INPUT_TOKENS, MODEL_BYTES_MAX, MODELS_MAX, OUTPUT_TOKENS, Price, PriceError,
    PriceTable, PriceTableError, USD_MICROS, Unpriced, Usage,
};
pub use record::{ArchiveRecord, Record};
pub use rollup::{Carried, DAY_MS, HOUR_MS, LEDGER_RETENTION_MS, LedgerMark, RollUp, SpendOf, day, hour};
pub use spec::Spec;
pub use spending::{
    BudgetUse, EpochRecord, Permit, PermitState, REST_MS, Spending, TENTATIVE_MS, UNUSED_MS, WALL_CLOCK,
};
pub use step::{StepOutcome, StepRecord};
pub use wide::Wide;
pub use window::{Period, ROLLING_BUCKETS, ROLLING_MAX_MS, ROLLING_MIN_MS, WindowError, WindowKind};
