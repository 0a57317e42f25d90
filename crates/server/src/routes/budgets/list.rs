//! `GET /v1/budgets`

use axum::extract::State;
use stint_api::BudgetsReply;

use super::query::Under;
use crate::problems::NamesBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the budgets of a namespace, by path.
#[utoipa::path(
    get,
    path = "/v1/budgets",
    operation_id = "budgets",
    tag = "budgets",
    params(Under),
    responses((status = 200, description = "The budgets.", body = BudgetsReply), NamesBudgets)
)]
pub(crate) async fn list(State(app): State<App>, Under { page, under }: Under) -> Answer<BudgetsReply> {
    ok(app.engine.budgets(&page.namespace, under.as_deref(), page.limit, page.cursor.as_deref()).await)
}
