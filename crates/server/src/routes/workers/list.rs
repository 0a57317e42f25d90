//! `GET /v1/workers`

use axum::extract::State;
use stint_api::WorkersReply;

use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the workers seen lately.
#[utoipa::path(
    get,
    path = "/v1/workers",
    operation_id = "workers",
    tag = "workers",
    params(Namespace),
    responses(
        (
            status = 200, description = "The workers, by name.", body = WorkersReply,
            example = json!({"workers": []})
        ),
    )
)]
pub(crate) async fn list(State(app): State<App>, Namespace(namespace): Namespace) -> Answer<WorkersReply> {
    ok(app.engine.workers(&namespace).await.map(|workers| WorkersReply { workers }))
}
