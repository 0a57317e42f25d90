//! How an attempt ends by its worker's word.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{ExecutionState, Failure, Instant, Limits, Payload, Problem, check};

/// `POST leases/{lease}/complete`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct CompleteRequest {
    /// What the execution gives; absent is `null`.
    #[serde(default)]
    pub output: Payload,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST leases/{lease}/fail`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct FailRequest {
    /// What went wrong.
    pub error: Failure,
    /// `false`: no further attempt, whatever the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<bool>,
    /// The next attempt not before this, whatever the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// A step of it was broken off: what that has called may still be spending, so what is left of its holds is in doubt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST leases/{lease}/release`: gives the lease back, without costing an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The work was begun, and broken off: what it has called may still be spending, so what is left of its holds is in doubt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST leases/{lease}/suspended`: the attempt has stopped as its budget asked, and goes on when there is money again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SuspendedRequest {
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What the execution is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndReply {
    /// Its state.
    pub state: ExecutionState,
    /// When the next attempt is due, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Instant>,
}

/// One of the ends, as an exchange carries it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an output.
    Complete(CompleteRequest),
    /// With an error.
    Fail(FailRequest),
    /// Unused, or broken off.
    Release(ReleaseRequest),
    /// Stopped, as its budget asked.
    Suspended(SuspendedRequest),
}

objects_only!(CompleteRequest, FailRequest, ReleaseRequest, SuspendedRequest);

impl CompleteRequest {
    /// An end with this output.
    pub fn new(output: Payload) -> Self {
        Self { output, namespace: None }
    }

    /// Checks the output's size.
    pub fn validate(&self, limits: &Limits) -> Result<(), Problem> {
        self.output.validate("output", limits)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl FailRequest {
    /// An end with this error, retried as the policy says.
    pub fn new(error: Failure) -> Self {
        Self { error, retry: None, retry_after_ms: None, unfinished: false, namespace: None }
    }

    /// Checks sizes, and that the two overrides agree.
    pub fn validate(&self) -> Result<(), Problem> {
        self.error.validate().map_err(|problem| problem.within("error"))?;
        check::duration("retry_after_ms", self.retry_after_ms, 0)?;
        if self.retry == Some(false) && self.retry_after_ms.is_some() {
            return Err(Problem::invalid(
                "retry_after_ms",
                "there is no retry to wait for with `retry: false`",
            )
            .remedy("Keep one of `retry` and `retry_after_ms`."));
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl ReleaseRequest {
    /// Of work that was begun, and broken off.
    pub fn unfinished() -> Self {
        Self { unfinished: true, ..Self::default() }
    }

    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl SuspendedRequest {
    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl Outcome {
    /// Checks whichever it is.
    pub fn validate(&self, limits: &Limits) -> Result<(), Problem> {
        match self {
            Self::Complete(complete) => {
                complete.validate(limits).map_err(|problem| problem.within("complete"))
            }
            Self::Fail(fail) => fail.validate().map_err(|problem| problem.within("fail")),
            Self::Release(release) => release.validate().map_err(|problem| problem.within("release")),
            Self::Suspended(suspended) => suspended.validate().map_err(|problem| problem.within("suspended")),
        }
    }
}
