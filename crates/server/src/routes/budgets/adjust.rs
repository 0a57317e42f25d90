//! `POST /v1/budgets/{path}:adjust`

use axum::extract::State;
use stint_api::{AdjustRequest, ChargeReply};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::Adjusts;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Sets right what a budget has used.
///
/// It is an entry of its own, and counts in the present period. Said again under the same id it is booked once.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:adjust",
    operation_id = "adjust",
    tag = "budgets",
    request_body(content = AdjustRequest, example = json!({"id": "bill-11", "less": {"usd_micros": 200}, "reason": "the bill of November"})),
    responses(
        (
            status = 200, description = "It is booked.", body = ChargeReply,
            example = json!({"recorded": true, "amounts": {}, "late": false, "over_limit": false, "quarantined": false})
        ),
        Adjusts,
    )
)]
pub(crate) async fn adjust(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<AdjustRequest>,
) -> Answer<ChargeReply> {
    ok(app.engine.adjust(&path, post.request).await)
}
