//! `POST /v1/leases/{lease}/release`

use axum::extract::State;
use stint_api::{EndReply, ReleaseRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn release(
    State(app): State<App>,
    Segment(lease): Segment,
    PostOrEmpty(request): PostOrEmpty<ReleaseRequest>,
) -> Answer<EndReply> {
    ok(app.engine.release(&lease, request).await)
}
