//! `POST /v1/executions/{id}/replay`

use axum::extract::State;
use stint_api::{ActionReply, ReplayRequest};

use crate::extract::{KeyedPostOrEmpty, Segment};
use crate::problems::Acts;
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Runs an execution that has ended again.
///
/// Its journal is kept, or dropped from a chosen step on.
#[utoipa::path(
    post,
    path = "/v1/executions/{id}/replay",
    operation_id = "replay",
    tag = "executions",
    request_body(content = Option<ReplayRequest>, example = json!({"from_step": "charge-card"})),
    responses(
        (
            status = 200, description = "What it is now.", body = ActionReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "ready"})
        ),
        Acts,
    )
)]
pub(crate) async fn replay(
    State(app): State<App>,
    Segment(id): Segment,
    post: KeyedPostOrEmpty<ReplayRequest>,
) -> Answer<ActionReply> {
    let KeyedPostOrEmpty { request, key } = post;
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.replay(&namespace, &id, request, key).await)
}
