//! `POST /v1/leases/{lease}/complete`

use axum::extract::State;
use stint_api::{CompleteRequest, EndReply};

use crate::extract::{Post, Segment};
use crate::problems::Ends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Ends an attempt with its output.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/complete",
    operation_id = "complete",
    tag = "leases",
    request_body(content = CompleteRequest, example = json!({"output": {"width": 640}})),
    responses(
        (
            status = 200, description = "What the execution is now.", body = EndReply,
            example = json!({"state": "completed"})
        ),
        Ends,
    )
)]
pub(crate) async fn complete(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<CompleteRequest>,
) -> Answer<EndReply> {
    ok(app.engine.complete(&lease, post.request).await)
}
