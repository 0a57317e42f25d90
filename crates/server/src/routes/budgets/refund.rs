//! `POST /v1/budgets/{path}:refund`

use axum::extract::State;
use stint_api::{ChargeReply, RefundRequest};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::Refunds;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Gives back what a charge took.
///
/// It counts in the charge's period. Said again under the same id it is booked once.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:refund",
    operation_id = "refund",
    tag = "budgets",
    request_body(content = RefundRequest, example = json!({"id": "refund-1", "charge_id": "resp_81", "amounts": {"usd_micros": 200}})),
    responses(
        (
            status = 200, description = "It is booked.", body = ChargeReply,
            example = json!({"recorded": true, "amounts": {"usd_micros": 1200}, "late": false, "over_limit": false,
                "quarantined": false})
        ),
        Refunds,
    )
)]
pub(crate) async fn refund(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<RefundRequest>,
) -> Answer<ChargeReply> {
    ok(app.engine.refund(&path, post.request).await)
}
