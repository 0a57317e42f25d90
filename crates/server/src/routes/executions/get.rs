//! `GET /v1/executions/{id}`

use axum::extract::State;
use stint_api::Execution;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows an execution.
///
/// Everything but its input and output.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}",
    operation_id = "execution",
    tag = "executions",
    params(Namespace),
    responses(
        (status = 200, description = "The execution.", body = Execution),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    Segment(id): Segment,
    Namespace(namespace): Namespace,
) -> Answer<Execution> {
    ok(app.engine.execution(&namespace, &id).await)
}
