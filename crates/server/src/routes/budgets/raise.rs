//! `POST /v1/budgets/{path}:raise`

use axum::extract::State;
use stint_api::{Budget, RaiseRequest};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::SetsBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Gives a window other hard limits.
///
/// What was stopped asks again, in order. A limit below what is used breaches the budget.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:raise",
    operation_id = "raise_budget",
    tag = "budgets",
    request_body(content = RaiseRequest, example = json!({"window": "day", "limits": {"usd_micros": 8000000}})),
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
pub(crate) async fn raise(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<RaiseRequest>,
) -> Answer<Budget> {
    ok(app.engine.raise_budget(&path, post.request).await)
}
