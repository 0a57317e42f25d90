//! How large things may be. Every bound of the API stands here, with its unit.

/// The namespace of a request that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// Largest input or output, in bytes: the JSON text, or the bytes before base64.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Largest request body, in bytes.
pub const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Most executions in one batch.
pub const BATCH_EXECUTIONS: usize = 1_000;
/// Longest name (lane, kind, namespace, tag key, worker), in characters.
pub const NAME_CHARS: usize = 128;
/// Longest step key, in characters.
pub const STEP_KEY_CHARS: usize = 256;
/// Most tags on an execution.
pub const TAGS: usize = 8;
/// Longest tag value, in bytes.
pub const TAG_VALUE_BYTES: usize = 256;
/// Lowest priority.
pub const PRIORITY_MIN: i32 = -100;
/// Highest priority.
pub const PRIORITY_MAX: i32 = 100;
/// Most predicates in `requires`, and in `prefer`.
pub const PREDICATES: usize = 16;
/// Longest predicate or capability, in bytes.
pub const PREDICATE_BYTES: usize = 256;
/// Most capabilities of a worker.
pub const CAPABILITIES: usize = 64;
/// Most attempts a retry policy may ask for.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// Most crashes an execution may be allowed.
pub const MAX_CRASHES: u32 = 1_000;
/// Most error types in `non_retryable`.
pub const NON_RETRYABLE: usize = 64;
/// Shortest lease, in milliseconds: below it a heartbeat could not keep up with a slow commit.
pub const LEASE_TTL_MS_MIN: u64 = 1_000;
/// Longest lease, in milliseconds.
pub const LEASE_TTL_MS_MAX: u64 = 3_600_000;
/// Most entries on a page of a list.
pub const LIST_LIMIT: u32 = 1_000;
/// Entries on a page whose request does not say.
pub const LIST_DEFAULT: u32 = 100;
/// A count goes no further.
pub const COUNT_LIMIT: u64 = 100_000;
/// Longest long poll, in milliseconds.
pub const WAIT_MS: u64 = 60_000;
/// Most leases in one claim, and most free slots a worker may offer.
pub const CLAIM_LEASES: u32 = 1_000;
/// Most lanes, and most kinds, that one claim may name.
pub const CLAIM_NAMES: usize = 128;
/// Longest error type, in bytes.
pub const ERROR_TYPE_BYTES: usize = 128;
/// Longest error message, in bytes.
pub const ERROR_MESSAGE_BYTES: usize = 16 * 1024;
/// Largest error details, in bytes of JSON text.
pub const ERROR_DETAILS_BYTES: usize = 64 * 1024;
/// Longest duration anywhere, in milliseconds: ten years of 366 days.
pub const DURATION_MS: u64 = 10 * 366 * 24 * 3_600 * 1_000;
/// Longest idempotency key of a submission, in characters.
pub const IDEMPOTENCY_KEY_CHARS: usize = 256;
/// Longest `Idempotency-Key` header, in bytes.
pub const REQUEST_KEY_BYTES: usize = 255;
/// Longest session name of a worker or client, in characters.
pub const SESSION_CHARS: usize = 64;
/// Longest fairness key, in bytes.
pub const FAIRNESS_KEY_BYTES: usize = 128;
/// Longest content type, in bytes.
pub const CONTENT_TYPE_BYTES: usize = 255;
/// Longest reason given for a cancel, in bytes.
pub const REASON_BYTES: usize = 1_024;
/// Longest progress message, in bytes.
pub const PROGRESS_MESSAGE_BYTES: usize = 1_024;
/// Most results, steps, leases and entries of logs in one exchange.
pub const EXCHANGE_ITEMS: usize = 10_000;
/// Longest line of a log, in bytes.
pub const LOG_LINE_BYTES: usize = 64 * 1024;
/// Most lines of one execution's log, and of one call.
pub const LOG_LINES: usize = 10_000;
/// Most bytes of one execution's log.
pub const LOG_BYTES: usize = 1024 * 1024;
/// Longest cursor, in bytes.
pub const CURSOR_BYTES: usize = 1_024;
/// Most weights a lane may set.
pub const LANE_WEIGHTS: usize = 1_000;
/// Largest weight of a fairness key.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Largest backoff factor, in thousandths.
pub const FACTOR_MAX: u32 = 100_000;
/// Largest jitter, in thousandths: all of the delay.
pub const JITTER_MAX: u32 = 1_000;
/// Longest name of a model, in bytes.
pub const MODEL_BYTES: usize = 128;

/// Largest amount: what an integer of any client holds, 2^53 - 1.
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;
/// Dimensions that amounts, or the limits of one window, may have.
pub const DIMENSIONS: usize = 16;
/// Longest name of a dimension, in bytes.
pub const DIMENSION_BYTES: usize = 64;
/// Most levels of a budget's path.
pub const PATH_LEVELS: usize = 8;
/// Longest segment of a budget's path, in characters.
pub const PATH_SEGMENT_CHARS: usize = 64;
/// Most windows of a budget.
pub const BUDGET_WINDOWS: usize = 8;
/// Most soft limits of one dimension.
pub const SOFT_LIMITS: usize = 16;
/// Shortest rolling window, in milliseconds: a bucket of it is a second.
pub const ROLLING_MS_MIN: u64 = 60_000;
/// Longest rolling window, in milliseconds: a leap year.
pub const ROLLING_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// Most budgets that an execution may name.
pub const BUDGET_USES: usize = 8;
/// Longest id of a charge, refund, top-up, hold or extend, in bytes.
pub const CHARGE_ID_BYTES: usize = 256;
/// Most charges of one settle.
pub const SETTLE_CHARGES: usize = 100;
/// Most models that a price table may have.
pub const PRICED_MODELS: usize = 1_000;

/// The limits an operator may configure. The rest are constants of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest input or output, in bytes.
    pub payload_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: PAYLOAD_BYTES }
    }
}

/// Shortest retention of a ledger: a report's rates look back for a day.
pub const LEDGER_RETENTION_MIN_MS: u64 = 24 * 3_600 * 1_000;
