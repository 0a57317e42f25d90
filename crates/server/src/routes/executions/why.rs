//! `GET /v1/executions/{id}/why`

use axum::extract::State;
use stint_api::WhyReply;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Says what an execution waits for.
///
/// The first thing first.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}/why",
    operation_id = "why",
    tag = "executions",
    params(Namespace),
    responses(
        (
            status = 200, description = "What stands in its way.", body = WhyReply,
            example = json!({"state": "ready", "waiting_for": [{"reason": "no_worker",
                "detail": "no worker serves lane default"}]})
        ),
    )
)]
pub(crate) async fn why(
    State(app): State<App>,
    Segment(id): Segment,
    Namespace(namespace): Namespace,
) -> Answer<WhyReply> {
    ok(app.engine.why(&namespace, &id).await)
}
