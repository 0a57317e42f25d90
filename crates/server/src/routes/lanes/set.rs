//! `PUT /v1/lanes/{name}`

use axum::extract::State;
use stint_api::{LaneReply, LaneSettings};

use super::changed;
use crate::extract::{Post, Segment};
use crate::reply::Answer;
use crate::routes::{App, namespace_of};

/// Replaces a lane's settings.
///
/// What is absent goes back to its default.
#[utoipa::path(
    put,
    path = "/v1/lanes/{name}",
    operation_id = "set_lane",
    tag = "lanes",
    request_body(content = LaneSettings, example = json!({"weights": {"paying": 3}, "age_step_ms": 600000})),
    responses(
        (
            status = 200, description = "Every partition knows it.", body = LaneReply,
            example = json!({"lane": {"name": "default", "namespace": "default", "paused": false,
                "draining": false, "weights": {"paying": 3}, "age_step_ms": 600000, "ready": 12,
                "running": 3, "waiting": 0}, "missing_partitions": []})
        ),
        (status = 202, description = "It is accepted, and reaches the missing partitions on its own.", body = LaneReply),
    )
)]
pub(crate) async fn set(
    State(app): State<App>,
    Segment(name): Segment,
    post: Post<LaneSettings>,
) -> Answer<LaneReply> {
    let settings = post.request;
    settings.validate()?;
    let namespace = namespace_of(settings.namespace.as_ref());
    changed(app.engine.set_lane(&namespace, &name, settings).await)
}
