//! `POST /v1/executions/{id}/resume`

use axum::extract::State;
use stint_api::{ActionReply, ActionRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Lets a paused execution start again.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/resume",
    operation_id = "resume",
    tag = "executions",
    request_body(content = Option<ActionRequest>, example = json!({})),
    responses(
        (
            status = 200, description = "What it is now.", body = ActionReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "ready"})
        ),
        Acts,
    )
)]
pub(crate) async fn resume(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<ActionRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    ok(app.engine.resume(&namespace_of(request.namespace.as_ref()), &id).await)
}
