//! Lanes: what they are set to and what stands in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::{objects_only, unique_keys};
use crate::{FAIRNESS_KEY_BYTES, LANE_WEIGHTS, Problem, WEIGHT_MAX, check};

/// `PUT lanes/{name}`: replaces the lane's settings. What is absent has core's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LaneSettings {
    /// Shares by fairness key; a key that is not named has weight 1.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u32>,
    /// How much waiting one step of priority is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_step_ms: Option<u64>,
    /// How many executions may wait in it, scheduled or ready; those that run do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Whose lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `POST lanes/{name}/pause`, `resume` and `drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LaneRequest {
    /// Whose lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub namespace: String,
    /// Whether nothing in it may start.
    pub paused: bool,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Shares by fairness key.
    #[serde(default)]
    pub weights: BTreeMap<String, u32>,
    /// How much waiting one step of priority is worth.
    pub age_step_ms: u64,
    /// How many executions may wait in it, scheduled or ready; those that run do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// How many are ready.
    #[serde(default)]
    pub ready: u64,
    /// How many are running.
    #[serde(default)]
    pub running: u64,
    /// How many are scheduled, blocked or suspended.
    #[serde(default)]
    pub waiting: u64,
}

/// A change of a lane. It is answered when all partitions know it, or with 202 and those that don't yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LaneReply {
    /// The lane as it is now.
    pub lane: Lane,
    /// The partitions that have not confirmed the change.
    #[serde(default)]
    pub missing_partitions: Vec<u32>,
}

/// `GET lanes`: those that have settings or open executions, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LanesReply {
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

objects_only!(LaneSettings, LaneRequest);

impl LaneSettings {
    /// Checks ranges and sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        check::count("weights", self.weights.len(), LANE_WEIGHTS)?;
        for (key, weight) in &self.weights {
            check::text("weights", key, FAIRNESS_KEY_BYTES)?;
            check::range("", *weight, 1, WEIGHT_MAX)
                .map_err(|problem| problem.at(format!("weights.{key}")))?;
        }
        check::duration("age_step_ms", self.age_step_ms, 1)?;
        if let Some(length) = self.max_length {
            check::range("max_length", length, 1, u64::from(u32::MAX))?;
        }
        check::optional_name("namespace", self.namespace.as_ref())
    }
}

impl LaneRequest {
    /// Checks the namespace.
    pub fn validate(&self) -> Result<(), Problem> {
        check::optional_name("namespace", self.namespace.as_ref())
    }
}
