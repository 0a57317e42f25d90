//! `DELETE /v1/budgets/{path}`

use axum::extract::State;
use stint_api::DeleteBudgetReply;

use super::BudgetPath;
use super::query::Force;
use crate::problems::DeletesBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Deletes a budget.
///
/// Money that is held under it is in the way, unless `force=true`: who waits for it is answered, and late charges count for the
/// levels above. Its ledger stays.
#[utoipa::path(
    delete,
    path = "/v1/budgets/{path}",
    operation_id = "delete_budget",
    tag = "budgets",
    params(Force),
    responses(
        (
            status = 200, description = "It is gone.", body = DeleteBudgetReply, example = json!({"deleted": true})
        ),
        DeletesBudgets,
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    Force { namespace, force }: Force,
) -> Answer<DeleteBudgetReply> {
    app.engine.delete_budget(&namespace, &path, force).await?;
    ok(Ok(DeleteBudgetReply { deleted: true }))
}
