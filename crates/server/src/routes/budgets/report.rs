//! `GET /v1/budgets/{path}:report`

use axum::extract::State;
use stint_api::ReportReply;

use super::BudgetPath;
use super::query::Report;
use crate::problems::NamesBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Sums up what was spent under a budget, by what, and how long the rest lasts at that rate.
#[utoipa::path(
    get,
    path = "/v1/budgets/{path}:report",
    operation_id = "budget_report",
    tag = "budgets",
    params(Report),
    responses((status = 200, description = "The sums.", body = ReportReply), NamesBudgets)
)]
pub(crate) async fn report(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    Report { namespace, request }: Report,
) -> Answer<ReportReply> {
    ok(app.engine.report(&namespace, &path, request).await)
}
