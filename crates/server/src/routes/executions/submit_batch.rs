//! `POST /v1/executions/batch`

use axum::extract::State;
use stint_api::{BatchReply, BatchRequest};

use crate::extract::Post;
use crate::problems::Submits;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Submits up to 1,000 executions.
///
/// All or nothing per partition; one result each, in order.
#[utoipa::path(
    post,
    path = "/v1/executions/batch",
    operation_id = "submit_batch",
    tag = "executions",
    request_body(
        content = BatchRequest,
        example = json!({"executions": [{"kind": "resize"}, {"kind": "resize", "lane": "slow"}]})
    ),
    responses(
        (
            status = 200, description = "One result per submission.", body = BatchReply,
            example = json!({"results": [{"id": "ex_01k5f3v0000000000000000000", "state": "ready"}]})
        ),
        Submits,
    )
)]
pub(crate) async fn submit_batch(State(app): State<App>, post: Post<BatchRequest>) -> Answer<BatchReply> {
    ok(app.engine.submit_batch(post.request, post.key).await)
}
