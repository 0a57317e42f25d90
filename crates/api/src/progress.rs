//! How far an attempt has come.

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{PROGRESS_MESSAGE_BYTES, Problem, check};

/// Progress of an attempt. Each report replaces the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Progress {
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

objects_only!(Progress);

impl Progress {
    /// Checks range and size.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(percent) = self.percent {
            check::range("percent", percent, 0, 100)?;
        }
        self.message
            .as_ref()
            .map_or(Ok(()), |message| check::at_most("message", message, PROGRESS_MESSAGE_BYTES))
    }
}
