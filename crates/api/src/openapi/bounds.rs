//! The bounds of every field and parameter, from the same constants that requests are checked against.

use serde_json::{Value, json};

use crate::PARTITION_MAX;
use crate::limits::*;

/// Longest id that has any chance, in characters.
const PATH_CHARS: usize = 256;

/// A budget's path: at most [`PATH_LEVELS`] segments.
const PATH: &str = "^[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,7}$";

/// What a field or parameter is held to, as a piece of JSON Schema that is put over its own. `owner` is the schema that
/// has the field, or the name of the operation's resource for a parameter; most names mean the same everywhere.
pub fn bounds(owner: &str, name: &str) -> Option<Value> {
    of_owner(owner, name).or_else(|| of_name(name))
}

/// Puts `bound` over `schema`; what `schema` says about other keywords stays.
pub fn merge(schema: &mut Value, bound: Value) {
    match (schema, bound) {
        (Value::Object(schema), Value::Object(bound)) => {
            for (keyword, value) in bound {
                merge(schema.entry(keyword).or_insert(Value::Null), value);
            }
        }
        (schema, bound) => *schema = bound,
    }
}

fn of_owner(owner: &str, name: &str) -> Option<Value> {
    Some(match (owner, name) {
        ("LeaseRequest", "max") => json!({"minimum": 1, "maximum": CLAIM_LEASES, "default": 1}),
        ("ExchangeRequest", "max") => range(0, CLAIM_LEASES.into()),
        ("ExchangeReply" | "LeaseReply", _) => return None,
        ("", "attempt") => range(1, u32::MAX.into()),
        ("", "Last-Event-ID") => at_most(CURSOR_BYTES),
        ("ListReply", "executions") => json!({"maxItems": LIST_LIMIT}),
        // Parameters of lists.
        ("", "state") => json!({"enum": crate::filter::LISTED.map(crate::ExecutionState::as_str)}),
        ("", "since" | "until") => json!({"format": "date-time"}),
        ("", "format") => json!({"enum": ["json", "ndjson", "csv"]}),
        ("", "order") => json!({"enum": ["asc", "desc"]}),
        ("", "every") => json!({"enum": ["hour", "day"]}),
        ("", "by") => {
            json!({"pattern": "^(path|kind|execution|model|tag\\..+)$", "maxLength": NAME_CHARS + 4})
        }
        ("", "execution") => json!({"pattern": "^ex_[0-9a-z]{26}$"}),
        ("", "model") => text(MODEL_BYTES),
        ("holds", "id") => json!({"pattern": "^hd_[0-9a-z]{26}$"}),
        ("", "tag.KEY") => at_most(TAG_VALUE_BYTES),
        ("Usage" | "LedgerEntry", "model") => text(MODEL_BYTES),
        ("Usage", _) => range(0, AMOUNT_MAX),
        ("executions", "id") => json!({"pattern": "^ex_[0-9a-z]{26}$"}),
        ("bulk", "job") => json!({"pattern": "^bk_[0-9a-z]{26}$"}),
        ("BudgetSettings", "windows") => json!({"minItems": 1, "maxItems": BUDGET_WINDOWS}),
        ("BudgetSettings" | "RaiseRequest", "generation") => range(0, u64::MAX),
        ("WindowSettings", "kind") => return Some(json!({})),
        ("WindowSettings", "every_ms") => range(ROLLING_MS_MIN, ROLLING_MS_MAX),
        ("WindowSettings", "tz") => named(NAME_CHARS),
        ("WindowSettings" | "BudgetWindow", "limits") => json!({"maxProperties": DIMENSIONS}),
        ("BudgetLimit", "hard") => range(0, AMOUNT_MAX),
        ("BudgetLimit", "soft") => json!({"maxItems": SOFT_LIMITS}),
        ("SubmitRequest", "budgets") => json!({"maxItems": BUDGET_USES}),
        (
            "TopUpRequest" | "RefundRequest" | "AdjustRequest" | "HoldRequest" | "ExtendRequest"
            | "LeaseHoldRequest" | "ExchangeHold",
            "id",
        ) => text(CHARGE_ID_BYTES),
        ("HoldRequest", "ttl_ms") => range(1, DURATION_MS),
        ("SettleReply", "duplicates" | "quarantined") => {
            json!({"maxItems": SETTLE_CHARGES, "items": text(CHARGE_ID_BYTES)})
        }
        ("SettleRequest", "charges") => json!({"maxItems": SETTLE_CHARGES}),
        ("PricesRequest", "models") => {
            json!({"maxProperties": PRICED_MODELS, "propertyNames": text(MODEL_BYTES)})
        }
        ("PricesRequest" | "PricesReply", "version") => range(0, u64::MAX),
        ("Price", "input" | "cached_input" | "cache_write" | "output" | "call") => range(0, AMOUNT_MAX),
        ("BudgetWindow" | "LedgerEntry", "kind")
        | ("LedgerEntry", "step")
        | ("ReportRow", "key" | "charges")
        | ("Budget", "holds")
        | ("Shortfall", "limit") => return Some(json!({})),
        ("Failure", "message") => at_most(ERROR_MESSAGE_BYTES),
        ("Failure", "details") => {
            json!({"description": format!("Any JSON of at most {ERROR_DETAILS_BYTES} bytes, for whoever knows the type.")})
        }
        ("NamespaceReply", "namespace") => return Some(json!({})),
        // Words for people, not names that anybody gives.
        ("Check", "name") | ("RecordCount", "kind") => return Some(json!({})),
        ("Backoff", "kind") | ("LanesReply", "lanes") | ("LogsReply", "lines") => return Some(json!({})),
        _ => return None,
    })
}

fn of_name(name: &str) -> Option<Value> {
    Some(match name {
        "namespace" => {
            let mut bound = named(NAME_CHARS);
            merge(&mut bound, json!({"default": DEFAULT_NAMESPACE}));
            bound
        }
        "id" | "job" => text(PATH_CHARS),
        "lane" | "kind" | "name" | "window" => named(NAME_CHARS),
        "lanes" => json!({"minItems": 1, "maxItems": CLAIM_NAMES, "items": named(NAME_CHARS)}),
        "kinds" => json!({"maxItems": CLAIM_NAMES, "items": named(NAME_CHARS)}),
        "key" | "from_step" | "step" => named(STEP_KEY_CHARS),
        "charge_id" | "refunds" => text(CHARGE_ID_BYTES),
        "path" | "under" => json!({
            "pattern": PATH,
            "maxLength": PATH_LEVELS * (PATH_SEGMENT_CHARS + 1) - 1,
            "not": {"pattern": "(^|/)\\.{1,2}(/|$)"},
        }),
        "lease" => json!({"pattern": "^ls_[a-z0-9]+$", "maxLength": NAME_CHARS}),
        "session" => json!({"pattern": format!("^[A-Za-z0-9_-]{{1,{SESSION_CHARS}}}$")}),
        "version" => text(NAME_CHARS),
        "capabilities" => json!({"maxItems": CAPABILITIES, "items": text(PREDICATE_BYTES)}),
        "requires" | "prefer" => json!({"maxItems": PREDICATES, "items": text(PREDICATE_BYTES)}),
        "priority" => json!({"minimum": PRIORITY_MIN, "maximum": PRIORITY_MAX}),
        "tags" => json!({
            "maxProperties": TAGS,
            "propertyNames": named(NAME_CHARS),
            "additionalProperties": at_most(TAG_VALUE_BYTES),
        }),
        "weights" => json!({
            "maxProperties": LANE_WEIGHTS,
            "propertyNames": text(FAIRNESS_KEY_BYTES),
            "additionalProperties": range(1, WEIGHT_MAX.into()),
        }),
        "max_length" => range(1, u32::MAX.into()),
        "max_attempts" => range(1, MAX_ATTEMPTS.into()),
        "max_crashes" => range(0, MAX_CRASHES.into()),
        "non_retryable" => json!({"maxItems": NON_RETRYABLE, "items": text(ERROR_TYPE_BYTES)}),
        "factor" => range(1, u64::from(FACTOR_MAX) / 1_000),
        "jitter" => range(0, u64::from(JITTER_MAX) / 1_000),
        "type" | "error_type" => text(ERROR_TYPE_BYTES),
        "reason" => at_most(REASON_BYTES),
        "message" => at_most(PROGRESS_MESSAGE_BYTES),
        "percent" => range(0, 100),
        "idempotency_key" => text(IDEMPOTENCY_KEY_CHARS),
        "fairness_key" => text(FAIRNESS_KEY_BYTES),
        "traceparent" => json!({"pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}),
        "executions" => json!({"minItems": 1, "maxItems": BATCH_EXECUTIONS}),
        "leases" | "results" | "steps" | "logs" | "charges" | "holds" => json!({"maxItems": EXCHANGE_ITEMS}),
        "lines" => json!({"minItems": 1, "maxItems": LOG_LINES, "items": at_most(LOG_LINE_BYTES)}),
        "limit" => json!({"minimum": 1, "maximum": LIST_LIMIT, "default": LIST_DEFAULT}),
        "cursor" | "next_cursor" => at_most(CURSOR_BYTES),
        "n" => range(1, u64::MAX),
        "seen" => range(0, u64::MAX - 1),
        "partition" => range(0, u64::from(PARTITION_MAX)),
        "wait_ms" => json!({"minimum": 0, "maximum": WAIT_MS, "default": 0}),
        "lease_ttl_ms" => range(LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX),
        "queue_ttl_ms" | "attempt_timeout_ms" | "deadline_ms" | "age_step_ms" => range(1, DURATION_MS),
        _ if name.ends_with("_ms") => range(0, DURATION_MS),
        _ => return None,
    })
}

fn range(least: u64, most: u64) -> Value {
    json!({"minimum": least, "maximum": most})
}

fn named(chars: usize) -> Value {
    json!({"pattern": "^[A-Za-z0-9._:/@-]+$", "minLength": 1, "maxLength": chars, "not": {"enum": [".", ".."]}})
}

fn text(most: usize) -> Value {
    json!({"minLength": 1, "maxLength": most})
}

fn at_most(most: usize) -> Value {
    json!({"maxLength": most})
}
