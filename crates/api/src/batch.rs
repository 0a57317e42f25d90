//! `POST executions/batch`.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{BATCH_EXECUTIONS, Limits, Problem, SubmitReply, SubmitRequest, check};

/// Up to 1,000 submissions. One that can't be read or is out of bounds refuses them all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BatchRequest {
    /// The submissions.
    pub executions: Vec<SubmitRequest>,
    /// For those that name none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// One result per submission, in the same order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchReply {
    /// The results.
    pub results: Vec<BatchResult>,
}

/// What became of one submission of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum BatchResult {
    /// It is there.
    Submitted(SubmitReply),
    /// It was refused.
    Refused {
        /// Why.
        error: Problem,
    },
}

objects_only!(BatchRequest);

impl BatchRequest {
    /// Checks the number of submissions and each of them.
    pub fn validate(&self, limits: &Limits) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())?;
        if self.executions.is_empty() {
            return Err(Problem::invalid("executions", "a batch holds at least one execution"));
        }
        check::count("executions", self.executions.len(), BATCH_EXECUTIONS)?;
        check::each("executions", &self.executions, |_, execution| execution.validate(limits))
    }
}
