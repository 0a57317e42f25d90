//! `POST /v1/leases/{lease}/release`

use axum::extract::State;
use stint_api::{EndReply, ReleaseRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Ends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Gives a lease back.
///
/// It costs no attempt. What is left of its holds is free, or in doubt if its work was begun and broken off (`unfinished`).
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/release",
    operation_id = "release",
    tag = "leases",
    request_body(content = Option<ReleaseRequest>, example = json!({})),
    responses(
        (
            status = 200, description = "What the execution is now.", body = EndReply,
            example = json!({"state": "ready"})
        ),
        Ends,
    )
)]
pub(crate) async fn release(
    State(app): State<App>,
    Segment(lease): Segment,
    PostOrEmpty(request): PostOrEmpty<ReleaseRequest>,
) -> Answer<EndReply> {
    ok(app.engine.release(&lease, request).await)
}
