//! `POST /v1/executions`

use axum::extract::State;
use axum::http::StatusCode;
use stint_api::{SubmitReply, SubmitRequest};

use crate::extract::Post;
use crate::problems::Submits;
use crate::reply::{Answer, Reply};
use crate::routes::App;

/// Submits one execution.
///
/// Under a key that already named an execution it answers with that one.
#[utoipa::path(
    post,
    path = "/v1/executions",
    operation_id = "submit",
    tag = "executions",
    request_body(
        content = SubmitRequest,
        example = json!({"kind": "resize", "input": {"url": "https://example.com/a.png"},
            "tags": {"customer": "c-17"}})
    ),
    responses(
        (
            status = 201, description = "The execution was made.", body = SubmitReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "ready"})
        ),
        (
            status = 200, description = "The key already named it.", body = SubmitReply,
            example = json!({"id": "ex_01k5f3v0000000000000000000", "state": "running", "existed": true})
        ),
        Submits,
    )
)]
pub(crate) async fn submit(State(app): State<App>, post: Post<SubmitRequest>) -> Answer<SubmitReply> {
    let reply = app.engine.submit(post.request, post.key).await?;
    let status = if reply.existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(Reply(status, reply))
}
