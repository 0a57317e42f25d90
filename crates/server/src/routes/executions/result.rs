//! `GET /v1/executions/{id}/result`

use axum::extract::State;
use stint_api::ResultReply;

use crate::extract::Segment;
use crate::query::Wait;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Waits for the end of an execution and gives its result.
///
/// A state that is not terminal means that the wait was over first.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}/result",
    operation_id = "result",
    tag = "executions",
    params(Wait),
    responses(
        (
            status = 200, description = "Its state, and its output or error if it has ended.", body = ResultReply,
            example = json!({"state": "completed", "output": {"width": 640}})
        ),
    )
)]
pub(crate) async fn result(State(app): State<App>, Segment(id): Segment, wait: Wait) -> Answer<ResultReply> {
    ok(app.engine.result(&wait.namespace, &id, wait.wait_ms).await)
}
