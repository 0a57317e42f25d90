//! What things are: executions and what they consist of, lanes, steps, messages between partitions.

mod amounts;
mod attempt;
mod bulk;
mod chain;
mod execution;
mod group;
mod happened;
mod history;
mod idempotency;
mod lane;
mod log;
mod payload;
mod policy;
mod policy_row;
mod price;
mod record;
mod spec;
mod step;
mod window;

pub use amounts::{AmountOverflow, Amounts, AmountsError, DIMENSION_BYTES_MAX, DIMENSIONS_MAX};
pub use attempt::{Attempt, AttemptOutcome, ErrorInfo};
pub use bulk::{BULK_ERRORS_MAX, BULK_JOBS_MAX, BulkAction, BulkError, BulkJob, BulkState, BulkTally};
pub use chain::{ChainFrom, ChainTo, Link, Message};
pub use execution::{
    End, Execution, Fair, HISTORY_MAX, LastWord, Lease, MOVES, Move, Progress, State, Stop, StopReason,
    Transition, Worker,
};
pub use group::{Capabilities, Group, Requirement, RequirementError};
pub use happened::Happened;
pub use idempotency::{ID_RETENTION_MS, IdempotencyRecord, KEY_RETENTION_MS};
pub use lane::{AGE_STEP_MAX_MS, AGE_STEP_MS, LaneHome, LaneMode, LaneSettings, WEIGHT_MAX};
pub use log::{LOG_BYTES_MAX, LOG_LINES_MAX, LogRecord, LogSize};
pub use payload::{Hash, INLINE_MAX, Payload, Stored};
pub use policy::{Backoff, BackoffKind, DEFAULT_POLICY, Policy, RETENTION_MS, Retry};
pub use price::{
    CALLS, INPUT_TOKENS, MODEL_BYTES_MAX, MODELS_MAX, OUTPUT_TOKENS, Price, PriceError, PriceTable,
    PriceTableError, USD_MICROS, Unpriced, Usage,
};
pub use record::{ArchiveRecord, Record};
pub use spec::Spec;
pub use step::{StepOutcome, StepRecord};
pub use window::{Period, ROLLING_BUCKETS, ROLLING_MAX_MS, ROLLING_MIN_MS, WindowError, WindowKind};
