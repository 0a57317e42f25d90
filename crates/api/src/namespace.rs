//! Namespaces: what holds for all work in one.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{LEDGER_RETENTION_MIN_MS, Problem, check};

/// `PUT namespaces/{name}`: replaces the namespace's settings. What is absent has core's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NamespaceSettings {
    /// How long an execution that says nothing of it is kept after its end. It holds for what is submitted from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// How long entries of the ledger are kept, at least: those that count in a period that is not over are kept for longer.
    /// Their sums are kept for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_retention_ms: Option<u64>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// How long an execution that says nothing of it is kept after its end.
    pub retention_ms: u64,
    /// How long entries of the ledger are kept, at least.
    #[serde(default)]
    pub ledger_retention_ms: u64,
}

/// A change of a namespace. It is answered when all partitions know it, or with 202 and those that don't yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamespaceReply {
    /// The namespace as it is now.
    pub namespace: Namespace,
    /// The partitions that have not confirmed the change.
    #[serde(default)]
    pub missing_partitions: Vec<u32>,
}

objects_only!(NamespaceSettings);

impl NamespaceSettings {
    /// Checks the range.
    pub fn validate(&self) -> Result<(), Problem> {
        check::duration("retention_ms", self.retention_ms, 0)?;
        check::duration("ledger_retention_ms", self.ledger_retention_ms, LEDGER_RETENTION_MIN_MS)
    }
}
