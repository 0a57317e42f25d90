//! Lanes: named queues that come into being by use, and their settings.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::Millis;

/// One step of priority is worth this much waiting, unless a lane says otherwise: 10 min.
pub const AGE_STEP_MS: Millis = 10 * 60 * 1_000;

/// Largest `age_step`: ten years. Larger ones would add nothing but overflow.
pub const AGE_STEP_MAX_MS: Millis = 10 * 366 * 24 * 3_600 * 1_000;

/// Largest weight of a fairness key.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// Whether a lane takes and starts work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum LaneMode {
    /// Takes work and starts it.
    #[default]
    #[n(0)]
    Open,
    /// Takes work and starts none.
    #[n(1)]
    Paused,
    /// Takes no new work and starts what is there.
    #[n(2)]
    Draining,
}

/// A lane's settings. The one at its home is the truth; every partition decides from its own copy.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct LaneSettings {
    /// Counts changes at the home; a copy with a lower one is older.
    #[n(0)]
    pub generation: u64,
    /// Open, paused or draining.
    #[n(1)]
    pub mode: LaneMode,
    /// Shares by fairness key; a key that isn't here has weight 1.
    #[n(2)]
    pub weights: BTreeMap<String, u32>,
    /// Ms of waiting that one step of priority is worth; `None` is [`AGE_STEP_MS`].
    #[n(3)]
    pub age_step_ms: Option<Millis>,
    /// Most executions that may wait in the lane.
    #[n(4)]
    pub max_length: Option<u64>,
}

impl LaneSettings {
    /// What one step of priority is worth, in ms.
    pub fn age_step(&self) -> Millis {
        self.age_step_ms.unwrap_or(AGE_STEP_MS).clamp(0, AGE_STEP_MAX_MS)
    }

    /// The share of a fairness key, 1 to [`WEIGHT_MAX`].
    pub fn weight(&self, fairness_key: &str) -> u32 {
        self.weights.get(fairness_key).copied().unwrap_or(1).clamp(1, WEIGHT_MAX)
    }

    /// How far a key's turn moves with each of its executions: a second at weight 1, in microseconds.
    pub(crate) fn turn_us(&self, fairness_key: &str) -> i64 {
        1_000_000 / i64::from(self.weight(fairness_key))
    }
}

/// A lane's settings at their home.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct LaneHome {
    /// The settings.
    #[n(0)]
    pub settings: LaneSettings,
}
