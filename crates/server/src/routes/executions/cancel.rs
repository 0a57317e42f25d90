//! `POST /v1/executions/{id}/cancel`

use axum::extract::State;
use stint_api::{ActionReply, CancelRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Cancels an execution.
///
/// Running code is asked to stop, then its lease is taken.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/cancel",
    operation_id = "cancel",
    tag = "executions",
    request_body(
        content = Option<CancelRequest>,
        example = json!({"reason": "not needed any more", "grace_ms": 5000})
    ),
    responses(
        (
            status = 200, description = "What it is now.", body = ActionReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "cancelled"})
        ),
        Acts,
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<CancelRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.cancel(&namespace, &id, request).await)
}
