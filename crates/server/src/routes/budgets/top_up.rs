//! `POST /v1/budgets/{path}:topup`

use axum::extract::State;
use stint_api::{Budget, TopUpRequest};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::SetsBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Raises a window's limits for once.
///
/// It is used up before the limit is. Said again under the same id it changes nothing.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:topup",
    operation_id = "top_up_budget",
    tag = "budgets",
    request_body(content = TopUpRequest, example = json!({"id": "invoice-17", "window": "day", "amounts": {"usd_micros": 1000000}})),
    responses(
        (
            status = 200, description = "The budget as it stands.", body = Budget,
            example = json!({"path": "acme/search", "namespace": "default", "windows": [{"name": "day", "kind": "day", "tz": "UTC",
                "limits": {"usd_micros": {"hard": 5000000, "soft": ["80%"]}}, "used": {"usd_micros": 120000},
                "held": {"usd_micros": 50000}, "period": {"start": "2026-11-23T00:00:00.000Z",
                "end": "2026-11-24T00:00:00.000Z"}, "topped": {}, "free": {"usd_micros": 4830000}, "top_ups": []}], "on_hard": "suspend", "in_doubt_ms": 60000,
                "stop_grace_ms": 30000, "shadow": false, "carry_over": false, "held": {"usd_micros": 50000}, "holds": 1,
                "waiting": 0, "state": "open", "exhausted": false, "overcommitted": false, "breached": false, "breaches": 0,
                "generation": 1})
        ),
        SetsBudgets,
    )
)]
pub(crate) async fn top_up(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<TopUpRequest>,
) -> Answer<Budget> {
    ok(app.engine.top_up_budget(&path, post.request).await)
}
