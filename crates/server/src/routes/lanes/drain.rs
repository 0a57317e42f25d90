//! `POST /v1/lanes/{name}/drain`

use axum::extract::State;
use stint_api::{LaneReply, LaneRequest};

use super::changed;
use crate::extract::{PostOrEmpty, Segment};
use crate::reply::Answer;
use crate::routes::{App, namespace_of};

/// Lets a lane take no new work.
#[utoipa::path(
    post,
    path = "/v1/lanes/{name}/drain",
    operation_id = "drain_lane",
    tag = "lanes",
    request_body(content = Option<LaneRequest>, example = json!({})),
    responses(
        (
            status = 200, description = "Every partition knows it.", body = LaneReply,
            example = json!({"lane": {"name": "default", "namespace": "default", "paused": false,
                "draining": true, "weights": {"paying": 3}, "age_step_ms": 600000, "ready": 12,
                "running": 3, "waiting": 0}, "missing_partitions": []})
        ),
        (status = 202, description = "It is accepted, and reaches the missing partitions on its own.", body = LaneReply),
    )
)]
pub(crate) async fn drain(
    State(app): State<App>,
    Segment(name): Segment,
    PostOrEmpty(request): PostOrEmpty<LaneRequest>,
) -> Answer<LaneReply> {
    request.validate()?;
    changed(app.engine.drain_lane(&namespace_of(request.namespace.as_ref()), &name).await)
}
