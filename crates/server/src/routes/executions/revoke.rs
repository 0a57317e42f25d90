//! `POST /v1/executions/{id}/revoke`

use axum::extract::State;
use stint_api::{ActionReply, ActionRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Takes a running execution's lease away.
///
/// Another attempt follows.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/revoke",
    operation_id = "revoke",
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
pub(crate) async fn revoke(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<ActionRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    ok(app.engine.revoke(&namespace_of(request.namespace.as_ref()), &id).await)
}
