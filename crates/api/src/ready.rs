//! `GET /readyz`.

use serde::{Deserialize, Serialize};

/// The node takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyReply {
    /// Always `ready`; anything else is a problem document.
    pub status: String,
    /// The node's name.
    pub node: String,
    /// Partitions that are open here.
    pub partitions: u32,
}
