//! `GET /readyz`.

use serde::{Deserialize, Serialize};

/// The node takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReadyReply {
    /// Always `ready`; anything else is a problem document.
    pub status: String,
    /// The node's name.
    pub node: String,
    /// Partitions that are open here.
    pub partitions: u32,
    /// The server's version; absent in servers that did not say it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
