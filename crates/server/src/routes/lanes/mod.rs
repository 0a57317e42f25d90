//! `/v1/lanes`

pub(super) mod drain;
pub(super) mod get;
pub(super) mod list;
pub(super) mod pause;
pub(super) mod resume;
pub(super) mod set;

use axum::http::StatusCode;
use stint_api::{LaneReply, Problem};

use crate::reply::{Answer, Reply};

/// A change that not every partition has confirmed is accepted, but not done.
fn changed(result: Result<LaneReply, Problem>) -> Answer<LaneReply> {
    let reply = result?;
    let status = if reply.missing_partitions.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Reply(status, reply))
}
