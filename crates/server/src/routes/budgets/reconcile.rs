//! `POST /v1/budgets/{path}:reconcile`

use axum::extract::State;
use stint_api::{ReconcileReply, ReconcileRequest};

use super::BudgetPath;
use crate::extract::Post;
use crate::problems::SetsBudgets;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Counts a budget's ledger again, and corrects what differs.
///
/// The whole tree, if the path is its root.
#[utoipa::path(
    post,
    path = "/v1/budgets/{path}:reconcile",
    operation_id = "reconcile_budget",
    tag = "budgets",
    request_body(content = ReconcileRequest, example = json!({"dry_run": true})),
    responses(
        (
            status = 200, description = "What differed.", body = ReconcileReply,
            example = json!({"counted": 3, "drifts": [], "dry_run": true})
        ),
        SetsBudgets,
    )
)]
pub(crate) async fn reconcile(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    post: Post<ReconcileRequest>,
) -> Answer<ReconcileReply> {
    ok(app.engine.reconcile(&path, post.request).await)
}
