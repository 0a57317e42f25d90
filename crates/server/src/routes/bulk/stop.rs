//! `POST /v1/bulk/{job}/stop`

use axum::extract::State;
use stint_api::{ActionRequest, BulkJob};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Ends an action on many executions behind the page that is under way.
///
/// What was done stays done. One that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/v1/bulk/{job}/stop",
    operation_id = "stop_bulk",
    tag = "bulk",
    request_body(content = Option<ActionRequest>, example = json!({})),
    responses((status = 200, description = "The job as it is now.", body = BulkJob))
)]
pub(crate) async fn stop(
    State(app): State<App>,
    Segment(job): Segment,
    PostOrEmpty(request): PostOrEmpty<ActionRequest>,
) -> Answer<BulkJob> {
    request.validate()?;
    ok(app.engine.stop_bulk(&namespace_of(request.namespace.as_ref()), &job).await)
}
