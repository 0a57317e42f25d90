//! `GET /v1/bulk/{job}`

use axum::extract::State;
use stint_api::BulkJob;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows how far an action on many executions has come.
#[utoipa::path(
    get,
    path = "/v1/bulk/{job}",
    operation_id = "bulk",
    tag = "bulk",
    params(Namespace),
    responses((status = 200, description = "The job.", body = BulkJob))
)]
pub(crate) async fn get(
    State(app): State<App>,
    Segment(job): Segment,
    Namespace(namespace): Namespace,
) -> Answer<BulkJob> {
    ok(app.engine.bulk(&namespace, &job).await)
}
