//! `POST /v1/executions/{id}/tag`

use axum::extract::State;
use stint_api::{ActionReply, TagRequest};

use crate::extract::{Post, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Adds tags to an execution, open or ended, or gives them new values.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/tag",
    operation_id = "tag_execution",
    tag = "executions",
    request_body(content = TagRequest, example = json!({"tags": {"customer": "c-17"}})),
    responses(
        (
            status = 200, description = "What it is now.", body = ActionReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "ready"})
        ),
        Acts,
    )
)]
pub(crate) async fn tag(
    State(app): State<App>,
    Segment(id): Segment,
    post: Post<TagRequest>,
) -> Answer<ActionReply> {
    let request = post.request;
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.tag(&namespace, &id, request).await)
}
