//! What an operator does to one execution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{ExecutionState, PRIORITY_MAX, PRIORITY_MIN, Problem, REASON_BYTES, check};

/// `POST executions/{id}/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct CancelRequest {
    /// Why, for the worker and for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long running code may take to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Whose execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST executions/{id}/replay`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReplayRequest {
    /// Drops this step and all later ones from the journal. Absent keeps the whole journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// Whose execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST executions/{id}/priority`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PriorityRequest {
    /// -100 to 100, higher first.
    pub priority: i32,
    /// Whose execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST executions/{id}/tag`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TagRequest {
    /// Tags to add, or to give new values.
    pub tags: BTreeMap<String, String>,
    /// Whose execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST executions/{id}/pause`, `resume` and `revoke`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ActionRequest {
    /// Whose execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What the execution is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionReply {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: ExecutionState,
    /// Why it is blocked, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

objects_only!(CancelRequest, ReplayRequest, PriorityRequest, TagRequest, ActionRequest);

impl CancelRequest {
    /// Checks sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(reason) = &self.reason {
            check::at_most("reason", reason, REASON_BYTES)?;
        }
        check::duration("grace_ms", self.grace_ms, 0)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl ReplayRequest {
    /// Checks the step's key.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(key) = &self.from_step {
            check::step_key("from_step", key)?;
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl PriorityRequest {
    /// Checks the range.
    pub fn validate(&self) -> Result<(), Problem> {
        check::range("priority", self.priority, PRIORITY_MIN, PRIORITY_MAX)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl TagRequest {
    /// Checks names, values and their number, which is not nought.
    pub fn validate(&self) -> Result<(), Problem> {
        if self.tags.is_empty() {
            return Err(Problem::invalid("tags", "no tags are given"));
        }
        check::tags("tags", &self.tags)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl ActionRequest {
    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}
