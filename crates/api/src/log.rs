//! What attempts log.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{Instant, LOG_LINE_BYTES, LOG_LINES, Problem, check};

/// `POST leases/{lease}/logs`: keeps lines, all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LogRequest {
    /// The lines, in order, each without its line end.
    pub lines: Vec<String>,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// So many lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogReply {
    /// All that the request brought.
    pub accepted: u64,
}

/// A line of an execution's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// When the server took it.
    pub at: Instant,
    /// The line.
    pub line: String,
}

/// `GET executions/{id}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogsReply {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

objects_only!(LogRequest);

impl LogRequest {
    /// Checks number and length of the lines.
    pub fn validate(&self) -> Result<(), Problem> {
        validate_lines("lines", &self.lines)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

/// Lines that a worker may send at once.
pub(crate) fn validate_lines(field: &str, lines: &[String]) -> Result<(), Problem> {
    if lines.is_empty() {
        return Err(Problem::invalid(field, "expected at least one line"));
    }
    check::count(field, lines.len(), LOG_LINES)?;
    check::each(field, lines, |at, line| check::at_most(at, line, LOG_LINE_BYTES))
}
