//! Who asks for work.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{CAPABILITIES, CLAIM_NAMES, Instant, NAME_CHARS, Problem, check};

/// A worker, as a plain claim names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct WorkerRef {
    /// Its name, which attempts are shown under.
    pub name: String,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it can do: `gpu`, `region=eu`, `mem_gb=64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// A worker, as an exchange names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SessionWorker {
    /// Its name, which attempts are shown under.
    pub name: String,
    /// Random, new for every process: 1 to 64 characters of `[A-Za-z0-9_-]`.
    pub session: String,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it can do: `gpu`, `region=eu`, `mem_gb=64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// A worker that was seen lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerInfo {
    /// What it is acted on by: its name, and its session if it speaks by exchange.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its session, if it speaks by exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The lanes it serves.
    #[serde(default)]
    pub lanes: Vec<String>,
    /// The kinds it runs; none named is all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Slots it offered last.
    pub slots: u32,
    /// Leases it holds.
    #[serde(default)]
    pub leases: u64,
    /// Whether it was asked to finish what it holds and end; it gets no more leases.
    #[serde(default)]
    pub draining: bool,
    /// When it was last heard.
    pub seen_at: Instant,
}

/// `GET workers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkersReply {
    /// Those seen lately.
    pub workers: Vec<WorkerInfo>,
}

/// `POST workers/{id}/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct WorkerRequest {
    /// Whose worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A worker that was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerReply {
    /// The worker as it is now.
    pub worker: WorkerInfo,
}

objects_only!(WorkerRef, SessionWorker, WorkerRequest);

impl WorkerRequest {
    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl WorkerRef {
    pub(crate) fn validate(&self) -> Result<(), Problem> {
        validate(&self.name, self.version.as_ref(), &self.capabilities)
    }
}

impl SessionWorker {
    pub(crate) fn validate(&self) -> Result<(), Problem> {
        check::session("session", &self.session)?;
        validate(&self.name, self.version.as_ref(), &self.capabilities)
    }
}

/// What a claim may name.
pub(crate) fn validate_claim(lanes: &[String], kinds: &[String], wait_ms: u64) -> Result<(), Problem> {
    if lanes.is_empty() {
        return Err(Problem::invalid("lanes", "a claim names at least one lane")
            .remedy("Name the lanes the worker serves, such as [\"default\"]."));
    }
    check::count("lanes", lanes.len(), CLAIM_NAMES)?;
    check::each("lanes", lanes, |at, lane| check::name(at, lane))?;
    check::count("kinds", kinds.len(), CLAIM_NAMES)?;
    check::each("kinds", kinds, |at, kind| check::name(at, kind))?;
    check::wait(wait_ms)
}

fn validate(name: &str, version: Option<&String>, capabilities: &[String]) -> Result<(), Problem> {
    check::name("name", name)?;
    if let Some(version) = version {
        check::text("version", version, NAME_CHARS)?;
    }
    check::count("capabilities", capabilities.len(), CAPABILITIES)?;
    check::each("capabilities", capabilities, |at, capability| check::capability(at, capability))
}
