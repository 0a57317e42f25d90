//! `POST /v1/holds/{id}/charge`

use axum::extract::State;
use stint_api::{BudgetChargeRequest, ChargeReply};

use crate::extract::{Post, Segment};
use crate::problems::Spends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Books what was spent under a hold: out of it first, then out of what is free.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/charge",
    operation_id = "charge_hold",
    tag = "budgets",
    request_body(content = BudgetChargeRequest, example = json!({"charge_id": "resp_82", "amounts": {"usd_micros": 1200}})),
    responses(
        (status = 200, description = "It is booked.", body = ChargeReply, example = json!({"recorded": true, "amounts": {"usd_micros": 1200}, "late": false,
                "over_limit": false, "quarantined": false})),
        Spends,
    )
)]
pub(crate) async fn charge(
    State(app): State<App>,
    Segment(hold): Segment,
    post: Post<BudgetChargeRequest>,
) -> Answer<ChargeReply> {
    ok(app.engine.charge_hold(&hold, post.request).await)
}
