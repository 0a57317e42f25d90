//! `POST /v1/workers/{id}/drain`

use axum::extract::State;
use stint_api::{WorkerReply, WorkerRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

/// Asks a worker to finish what it holds and end.
///
/// It gets no more leases, and its next reply says so. Only this node knows, as long as the worker is heard.
#[utoipa::path(
    post,
    path = "/v1/workers/{id}/drain",
    operation_id = "drain_worker",
    tag = "workers",
    request_body(content = Option<WorkerRequest>, example = json!({})),
    responses(
        (status = 200, description = "The worker as it is now.", body = WorkerReply),
    )
)]
pub(crate) async fn drain(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<WorkerRequest>,
) -> Answer<WorkerReply> {
    request.validate()?;
    ok(app.engine.drain_worker(&namespace_of(request.namespace.as_ref()), &id).await)
}
