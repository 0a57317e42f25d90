//! `POST /v1/executions/{id}/priority`

use axum::extract::State;
use stint_api::{ActionReply, PriorityRequest};

use crate::extract::{Post, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Changes an execution's priority.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/priority",
    operation_id = "set_priority",
    tag = "executions",
    request_body(content = PriorityRequest, example = json!({"priority": 50})),
    responses(
        (
            status = 200, description = "What it is now.", body = ActionReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "ready"})
        ),
        Acts,
    )
)]
pub(crate) async fn priority(
    State(app): State<App>,
    Segment(id): Segment,
    post: Post<PriorityRequest>,
) -> Answer<ActionReply> {
    let request = post.request;
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.set_priority(&namespace, &id, request).await)
}
