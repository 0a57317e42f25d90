//! `POST /v1/leases/{lease}/suspended`

use axum::extract::State;
use stint_api::{EndReply, SuspendedRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Parks;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Parks an attempt that its budget asked to stop.
///
/// It goes on from its journal, as the same attempt, when there is money again.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/suspended",
    operation_id = "suspended",
    tag = "leases",
    request_body(content = Option<SuspendedRequest>, example = json!({})),
    responses(
        (
            status = 200, description = "It is parked.", body = EndReply,
            example = json!({"state": "suspended"})
        ),
        Parks,
    )
)]
pub(crate) async fn suspended(
    State(app): State<App>,
    Segment(lease): Segment,
    PostOrEmpty(request): PostOrEmpty<SuspendedRequest>,
) -> Answer<EndReply> {
    ok(app.engine.suspended(&lease, request).await)
}
