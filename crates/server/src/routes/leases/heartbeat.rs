//! `POST /v1/leases/{lease}/heartbeat`

use axum::extract::State;
use stint_api::{HeartbeatReply, HeartbeatRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Leased;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Keeps a lease, and says how far the work has come.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/heartbeat",
    operation_id = "heartbeat",
    tag = "leases",
    request_body(
        content = Option<HeartbeatRequest>,
        example = json!({"progress": {"percent": 40, "message": "page 4 of 10"}})
    ),
    responses(
        (
            status = 200, description = "The lease lives on; `stop` asks to end the work.", body = HeartbeatReply,
            example = json!({"ttl_ms": 30000})
        ),
        Leased,
    )
)]
pub(crate) async fn heartbeat(
    State(app): State<App>,
    Segment(lease): Segment,
    PostOrEmpty(request): PostOrEmpty<HeartbeatRequest>,
) -> Answer<HeartbeatReply> {
    ok(app.engine.heartbeat(&lease, request).await)
}
