//! `POST /v1/leases/{lease}/heartbeat`

use axum::extract::State;
use stint_api::{HeartbeatReply, HeartbeatRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn heartbeat(
    State(app): State<App>,
    Segment(lease): Segment,
    PostOrEmpty(request): PostOrEmpty<HeartbeatRequest>,
) -> Answer<HeartbeatReply> {
    ok(app.engine.heartbeat(&lease, request).await)
}
