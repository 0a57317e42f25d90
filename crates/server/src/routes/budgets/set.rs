//! `PUT /v1/budgets/{path}`

use axum::extract::State;
use stint_api::{Budget, BudgetSettings};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::SetsBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Makes a budget, or replaces what it is set to.
///
/// What it has used and holds stays. A window of another kind, length or zone than before starts anew.
#[utoipa::path(
    put,
    path = "/v1/budgets/{path}",
    operation_id = "set_budget",
    tag = "budgets",
    request_body(
        content = BudgetSettings,
        example = json!({"windows": [{"name": "day", "kind": "day", "tz": "UTC",
            "limits": {"usd_micros": {"hard": 5000000, "soft": ["80%"]}}}]})
    ),
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
pub(crate) async fn set(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<BudgetSettings>,
) -> Answer<Budget> {
    ok(app.engine.set_budget(&path, post.request).await)
}
