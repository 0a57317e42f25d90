//! `POST /v1/leases/{lease}/fail`

use axum::extract::State;
use stint_api::{EndReply, FailRequest};

use crate::extract::{Post, Segment};
use crate::problems::Ends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Ends an attempt with an error.
///
/// Its retry policy decides what follows, unless the request does.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/fail",
    operation_id = "fail",
    tag = "leases",
    request_body(
        content = FailRequest,
        example = json!({"error": {"type": "http_503", "message": "try later"}, "retry_after_ms": 5000})
    ),
    responses(
        (
            status = 200, description = "What the execution is now.", body = EndReply,
            example = json!({"state": "scheduled", "run_at": "2026-11-23T11:00:00.000Z"})
        ),
        Ends,
    )
)]
pub(crate) async fn fail(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<FailRequest>,
) -> Answer<EndReply> {
    ok(app.engine.fail(&lease, post.request).await)
}
