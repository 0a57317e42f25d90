//! `POST /v1/budgets/{path}:hold`

use axum::extract::State;
use stint_api::{HoldReply, HoldRequest};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::Holds;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Sets money aside, without an execution.
///
/// It does not wait: what is not free is refused. Said again under the same id it is the same hold.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:hold",
    operation_id = "hold_budget",
    tag = "budgets",
    request_body(content = HoldRequest, example = json!({"id": "job-7", "amounts": {"usd_micros": 50000}, "ttl_ms": 60000})),
    responses(
        (
            status = 200, description = "It is held.", body = HoldReply,
            example = json!({"hold": "hd_00000000000000000000000000", "held": {"usd_micros": 50000},
                "expires_at": "2026-11-23T11:01:00.000Z", "in_doubt": false, "ended": false})
        ),
        Holds,
    )
)]
pub(crate) async fn hold(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<HoldRequest>,
) -> Answer<HoldReply> {
    ok(app.engine.hold_budget(&path, post.request).await)
}
