//! Actions on many executions: asked for by filter, done in the background.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::{objects_only, unique_keys};
use crate::{Code, ExecutionFilter, Instant, PRIORITY_MAX, PRIORITY_MIN, Problem, REASON_BYTES, check};

/// What is done to each execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BulkAction {
    /// Stop it, if it has not ended. With `reason` and `grace_ms`.
    Cancel,
    /// Run it again, if it has ended. With `from_step`.
    Replay,
    /// Change its priority, if it has not ended. With `priority`.
    Priority,
    /// Hold it back, if it has not ended.
    Pause,
    /// Let it go on, if it has not ended.
    Resume,
    /// Take its lease, if it is running.
    Revoke,
    /// Add tags, or give them new values. With `tags`.
    Tag,
}

/// `POST bulk`: an action on all executions that a filter wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BulkRequest {
    /// What is done.
    pub action: BulkAction,
    /// To which. An empty filter is about everything in the namespace.
    #[serde(default)]
    pub filter: ExecutionFilter,
    /// Why, for `cancel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long running code may take to stop, for `cancel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Drops this step and all later ones from each journal, for `replay`. An execution without such a step is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// -100 to 100, for `priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What is added, for `tag`.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Only count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Whose executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkReply {
    /// The job; absent after a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Executions that it is about.
    pub count: u64,
    /// There may be more: counting has bounds, acting has none.
    pub at_least: bool,
}

/// Whether a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BulkState {
    /// There may be more to do.
    Running,
    /// All was looked at.
    Done,
    /// Somebody stopped it.
    Stopped,
}

/// `GET bulk/{job}`: how far a job has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkJob {
    /// Its id.
    pub job: String,
    /// Whose it is.
    pub namespace: String,
    /// What is done.
    pub action: BulkAction,
    /// To which; none that was submitted, or ended, after its start.
    pub filter: ExecutionFilter,
    /// The reason of a `cancel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The step of a `replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// The priority of a `priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The tags of a `tag`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Whether it goes on.
    pub state: BulkState,
    /// Executions that were counted at its start.
    pub matched: u64,
    /// There may have been more.
    pub at_least: bool,
    /// Executions dealt with: changed, skipped and failed.
    pub processed: u64,
    /// To which it was done.
    pub changed: u64,
    /// Which had moved on meanwhile, or were gone.
    pub skipped: u64,
    /// Which refused it.
    pub failed: u64,
    /// When it was asked for.
    pub started_at: Instant,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// The first 20 that refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BulkError>,
}

/// One that refused the action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkError {
    /// The execution.
    pub id: String,
    /// The stable code.
    pub code: String,
    /// What was wrong.
    pub detail: String,
}

/// `GET bulk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulksReply {
    /// Those that run and those that ended lately, newest first.
    pub jobs: Vec<BulkJob>,
}

objects_only!(BulkRequest);

impl BulkRequest {
    /// An action on all that a filter wants; what it needs besides is added by the caller.
    pub fn new(action: BulkAction, filter: ExecutionFilter) -> Self {
        Self {
            action,
            filter,
            reason: None,
            grace_ms: None,
            from_step: None,
            priority: None,
            tags: BTreeMap::new(),
            dry_run: None,
            namespace: None,
        }
    }

    /// Checks sizes and ranges, and that what is said belongs to the action.
    pub fn validate(&self) -> Result<(), Problem> {
        use BulkAction::*;
        self.filter.validate()?;
        check::optional_name("namespace", self.namespace.as_ref())?;
        self.belongs("reason", self.reason.is_some(), Cancel)?;
        self.belongs("grace_ms", self.grace_ms.is_some(), Cancel)?;
        self.belongs("from_step", self.from_step.is_some(), Replay)?;
        self.belongs("priority", self.priority.is_some(), Priority)?;
        self.belongs("tags", !self.tags.is_empty(), Tag)?;
        if let Some(reason) = &self.reason {
            check::at_most("reason", reason, REASON_BYTES)?;
        }
        check::duration("grace_ms", self.grace_ms, 0)?;
        if let Some(step) = &self.from_step {
            check::step_key("from_step", step)?;
        }
        match (self.action, self.priority) {
            (_, Some(priority)) => check::range("priority", priority, PRIORITY_MIN, PRIORITY_MAX)?,
            (Priority, None) => return Err(missing("priority")),
            _ => {}
        }
        if self.action == Tag && self.tags.is_empty() {
            return Err(missing("tags"));
        }
        check::tags("tags", &self.tags)
    }

    fn belongs(&self, field: &str, is_given: bool, action: BulkAction) -> Result<(), Problem> {
        if !is_given || self.action == action {
            return Ok(());
        }
        let detail = format!("only the action {} takes this", action.as_str());
        Err(Problem::invalid(field, detail).remedy("Leave the field out, or choose that action."))
    }
}

impl BulkAction {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Replay => "replay",
            Self::Priority => "priority",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Revoke => "revoke",
            Self::Tag => "tag",
        }
    }
}

fn missing(field: &str) -> Problem {
    Problem::new(Code::InvalidField, "the action needs this field").at(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str) -> Option<String> {
        match serde_json::from_str::<BulkRequest>(json) {
            Ok(request) => request.validate().err().and_then(|problem| problem.field),
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn each_action_takes_its_own_fields() {
        for fine in [
            r#"{"action": "cancel"}"#,
            r#"{"action": "cancel", "filter": {"lane": "a"}, "reason": "x", "grace_ms": 0, "dry_run": true}"#,
            r#"{"action": "replay", "from_step": "charge"}"#,
            r#"{"action": "priority", "priority": -100}"#,
            r#"{"action": "tag", "tags": {"a": ""}, "namespace": "n"}"#,
        ] {
            assert_eq!(field(fine), None, "{fine}");
        }
        for (wrong, at) in [
            (r#"{"action": "pause", "reason": "x"}"#, "reason"),
            (r#"{"action": "pause", "priority": 1}"#, "priority"),
            (r#"{"action": "priority"}"#, "priority"),
            (r#"{"action": "priority", "priority": 101}"#, "priority"),
            (r#"{"action": "tag"}"#, "tags"),
            (r#"{"action": "cancel", "tags": {"a": ""}}"#, "tags"),
            (r#"{"action": "replay", "from_step": ""}"#, "from_step"),
            (r#"{"action": "cancel", "filter": {"lane": ""}}"#, "lane"),
        ] {
            assert_eq!(field(wrong).as_deref(), Some(at), "{wrong}");
        }
        for wrong in [r"{}", r#"{"action": "delete"}"#, r#"{"action": "pause", "x": 1}"#, r"[]"] {
            assert!(serde_json::from_str::<BulkRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
