//! `POST /v1/budgets/{path}:charge`

use axum::extract::State;
use stint_api::{BudgetChargeRequest, ChargeReply};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::Spends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Books what was spent under a budget, without an execution.
///
/// It is always booked, above the limit too. Said again under the same id it is booked once.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:charge",
    operation_id = "charge_budget",
    tag = "budgets",
    request_body(content = BudgetChargeRequest, example = json!({"charge_id": "resp_81", "amounts": {"usd_micros": 1200}})),
    responses(
        (
            status = 200, description = "It is booked.", body = ChargeReply,
            example = json!({"recorded": true, "amounts": {"usd_micros": 1200}, "late": false, "over_limit": false,
                "quarantined": false})
        ),
        Spends,
    )
)]
pub(crate) async fn charge(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<BudgetChargeRequest>,
) -> Answer<ChargeReply> {
    ok(app.engine.charge_budget(&path, post.request).await)
}
