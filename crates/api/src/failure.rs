//! Why an attempt or an execution failed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::object::objects_only;
use crate::{ERROR_DETAILS_BYTES, ERROR_MESSAGE_BYTES, ERROR_TYPE_BYTES, Problem, check};

/// An error of the work itself, as a worker reports it or as the engine names a time-out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Failure {
    /// What `non_retryable` and filters go by.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub message: String,
    /// Any JSON, for whoever knows the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub details: Option<Box<RawValue>>,
}

objects_only!(Failure);

impl Failure {
    /// A failure without details.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), details: None }
    }

    /// Checks the sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        check::text("type", &self.kind, ERROR_TYPE_BYTES)?;
        check::at_most("message", &self.message, ERROR_MESSAGE_BYTES)?;
        self.details
            .as_ref()
            .map_or(Ok(()), |details| check::at_most("details", details.get(), ERROR_DETAILS_BYTES))
    }
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let text = |failure: &Self| failure.details.as_ref().map(|details| details.get().to_owned());
        self.kind == other.kind && self.message == other.message && text(self) == text(other)
    }
}
