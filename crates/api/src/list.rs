//! `GET executions` and `GET executions/count`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ExecutionFilter, ExecutionState, Failure, Instant, LIST_LIMIT, Problem, Progress, check};

/// `GET executions`: the parameters of its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Which.
    pub filter: ExecutionFilter,
    /// How many at most; [`LIST_DEFAULT`](crate::LIST_DEFAULT) if absent.
    pub limit: Option<u32>,
    /// Where to go on, as an earlier page said.
    pub cursor: Option<String>,
    /// Whose.
    pub namespace: Option<String>,
}

/// `GET executions/count`: the parameters of its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountRequest {
    /// Which.
    pub filter: ExecutionFilter,
    /// Whose.
    pub namespace: Option<String>,
}

/// A page of executions. It may be short, even empty, and still not be the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListReply {
    /// What was found, in order.
    pub executions: Vec<ExecutionSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CountReply {
    /// So many were found.
    pub count: u64,
    /// Whether there may be more: counting has bounds.
    pub at_least: bool,
}

/// An execution, as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecutionSummary {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub namespace: String,
    /// Which handler runs it.
    pub kind: String,
    /// The queue it stands in.
    pub lane: String,
    /// What it is doing.
    pub state: ExecutionState,
    /// Why it is blocked, or why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// -100 to 100.
    pub priority: i32,
    /// What it is found by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Attempts so far.
    pub attempt: u32,
    /// Who runs it, or ran it last before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How many attempts ended without their worker's word.
    #[serde(default)]
    pub crashes: u32,
    /// When it was submitted.
    pub submitted_at: Instant,
    /// When it is due, if that is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Instant>,
    /// When the attempt under way, or the last one before its end, started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Instant>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// How far the present attempt has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl ListRequest {
    /// Checks names and ranges. What a cursor says is the engine's to read.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(limit) = self.limit {
            check::range("limit", limit, 1, LIST_LIMIT)?;
        }
        self.filter.validate()?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl CountRequest {
    /// Checks names.
    pub fn validate(&self) -> Result<(), Problem> {
        self.filter.validate()?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_bounds() {
        let with = |limit| ListRequest { limit: Some(limit), ..ListRequest::default() }.validate();
        assert_eq!((with(1), with(LIST_LIMIT)), (Ok(()), Ok(())));
        for limit in [0, LIST_LIMIT + 1] {
            assert_eq!(with(limit).unwrap_err().field.as_deref(), Some("limit"));
        }
    }
}
