//! `POST /v1/holds/{id}/settle`

use axum::extract::State;
use stint_api::{SettleReply, SettleRequest};

use crate::extract::{Post, Segment};
use crate::problems::Spends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Ends a hold with what was spent under it; the rest is free.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/settle",
    operation_id = "settle_hold",
    tag = "budgets",
    request_body(content = SettleRequest, example = json!({"charges": [{"charge_id": "resp_83", "amounts": {"usd_micros": 900}}]})),
    responses(
        (status = 200, description = "It is over, and its charges are booked.", body = SettleReply, example = json!({"settled": true})),
        Spends,
    )
)]
pub(crate) async fn settle(
    State(app): State<App>,
    Segment(hold): Segment,
    post: Post<SettleRequest>,
) -> Answer<SettleReply> {
    ok(app.engine.settle_hold(&hold, post.request).await)
}
