//! `GET /v1/budgets/{path}:tree`

use axum::extract::State;
use stint_api::BudgetsReply;

use super::BudgetPath;
use crate::page::Page;
use crate::problems::NamesBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows a budget and all below it, by path.
#[utoipa::path(
    get,
    path = "/v1/budgets/{path}:tree",
    operation_id = "budget_tree",
    tag = "budgets",
    params(Page),
    responses((status = 200, description = "The budgets.", body = BudgetsReply), NamesBudgets)
)]
pub(crate) async fn tree(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    page: Page,
) -> Answer<BudgetsReply> {
    ok(app.engine.budgets(&page.namespace, Some(&path), page.limit, page.cursor.as_deref()).await)
}
