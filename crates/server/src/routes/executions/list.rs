//! `GET /v1/executions`

use axum::extract::State;
use stint_api::ListReply;

use crate::filter::List;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists executions.
///
/// Open ones first, newest submission first; then ended ones, newest end first. With a tag: all by submission, newest
/// first. A page may be short, even empty, and still have a `next_cursor`.
#[utoipa::path(
    get,
    path = "/v1/executions",
    operation_id = "executions",
    tag = "executions",
    params(List),
    responses(
        (
            status = 200, description = "A page.", body = ListReply,
            example = json!({"executions": [{
                "id": "ex_01k5f3v0000000000000000000", "namespace": "default", "kind": "resize", "lane": "default",
                "state": "ready", "priority": 0, "tags": {"team": "search"}, "attempt": 0, "crashes": 0,
                "submitted_at": "2026-11-23T11:00:00.000Z"
            }]})
        ),
    )
)]
pub(crate) async fn list(State(app): State<App>, List(request): List) -> Answer<ListReply> {
    ok(app.engine.executions(request).await)
}
