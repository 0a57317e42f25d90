//! The step journal.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::decode::present;
use crate::object::objects_only;
use crate::{Instant, Limits, Payload, Problem, check};

/// `POST leases/{lease}/steps`: asks whether to run a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct StepRequest {
    /// The step's key: the same in every attempt, and what side effects are made idempotent by.
    pub key: String,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum StepReply {
    /// `{run: true}`: run it, then record its result.
    Run,
    /// `{unknown: true}`: an earlier attempt began it and never said how it ended. Reconcile, or run it again
    /// under the same key.
    Unknown,
    /// `{result}`: it has been run; this is its result.
    Result(Payload),
}

/// `POST leases/{lease}/steps/{key}/result`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct StepResultRequest {
    /// What the step gave; absent is `null`.
    #[serde(default)]
    pub output: Payload,
    /// Whose execution; another than the lease's is `not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A step in the journal a lease carries. With neither result nor `unknown` the result was too large to
/// carry: ask for the step to get it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepEntry {
    /// The step's key.
    pub key: String,
    /// Its result.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Payload>,
    /// Begun by an earlier attempt, end unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// A step of an execution's journal, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepView {
    /// The step's key.
    pub key: String,
    /// How far it is.
    pub state: StepState,
    /// The attempt that recorded it, or began it last.
    pub attempt: u32,
    /// What it gave, if it is recorded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// When it was recorded, or begun first.
    pub at: Instant,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepState {
    /// Its result is there: it never runs again.
    Recorded,
    /// It was begun, and nothing has come of it yet.
    Started,
}

/// `GET executions/{id}/steps`, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepsReply {
    /// The steps.
    pub steps: Vec<StepView>,
    /// Where the next page begins; absent on the last. A page may be short and still have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

objects_only!(StepRequest, StepResultRequest);

impl StepRequest {
    /// Checks the key.
    pub fn validate(&self) -> Result<(), Problem> {
        check::step_key("key", &self.key)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl StepResultRequest {
    /// Checks the key, which stands in the path, and the output's size.
    pub fn validate(&self, key: &str, limits: &Limits) -> Result<(), Problem> {
        check::step_key("key", key)?;
        self.output.validate("output", limits)?;
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl Serialize for StepReply {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Run => map.serialize_entry("run", &true)?,
            Self::Unknown => map.serialize_entry("unknown", &true)?,
            Self::Result(result) => map.serialize_entry("result", result)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StepReply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match StepReplyForm::deserialize(deserializer)? {
            StepReplyForm { run: true, .. } => Ok(Self::Run),
            StepReplyForm { unknown: true, .. } => Ok(Self::Unknown),
            StepReplyForm { result: Some(result), .. } => Ok(Self::Result(result)),
            _ => Err(D::Error::custom("expected one of `run`, `unknown`, `result`")),
        }
    }
}

/// Exactly one of these.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct StepReplyForm {
    /// Run it, then record its result.
    #[serde(default)]
    run: bool,
    /// An earlier attempt began it and never said how it ended: reconcile, or run it again under the same key.
    #[serde(default)]
    unknown: bool,
    /// It has been run; this is its result.
    #[serde(default, deserialize_with = "present")]
    result: Option<Payload>,
}
