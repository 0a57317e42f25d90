//! `POST /v1/holds/{id}/release`

use axum::extract::State;
use stint_api::{ReleaseHoldReply, ReleaseHoldRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::problems::Spends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Ends a hold: what is left of it is free. One that is over already stays so.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/release",
    operation_id = "release_hold",
    tag = "budgets",
    request_body(content = Option<ReleaseHoldRequest>, example = json!({})),
    responses(
        (status = 200, description = "It is over.", body = ReleaseHoldReply, example = json!({"released": true})),
        Spends,
    )
)]
pub(crate) async fn release(
    State(app): State<App>,
    Segment(hold): Segment,
    PostOrEmpty(ReleaseHoldRequest {}): PostOrEmpty<ReleaseHoldRequest>,
) -> Answer<ReleaseHoldReply> {
    ok(app.engine.release_hold(&hold).await)
}
