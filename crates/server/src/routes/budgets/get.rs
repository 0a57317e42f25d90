//! `GET /v1/budgets/{path}`

use axum::extract::State;
use stint_api::Budget;

use super::BudgetPath;
use crate::problems::NamesBudgets;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows a budget as it stands.
#[utoipa::path(
    get,
    path = "/v1/budgets/{path}",
    operation_id = "budget",
    tag = "budgets",
    params(Namespace),
    responses((status = 200, description = "The budget.", body = Budget), NamesBudgets)
)]
pub(crate) async fn get(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    Namespace(namespace): Namespace,
) -> Answer<Budget> {
    ok(app.engine.budget(&namespace, &path).await)
}
