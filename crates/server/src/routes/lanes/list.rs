//! `GET /v1/lanes`

use axum::extract::State;
use stint_api::LanesReply;

use crate::page::Page;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the lanes of a namespace.
///
/// Those that have settings or open executions, by name.
#[utoipa::path(
    get,
    path = "/v1/lanes",
    operation_id = "lanes",
    tag = "lanes",
    params(Page),
    responses(
        (
            status = 200, description = "The lanes.", body = LanesReply,
            example = json!({"lanes": [{"name": "default", "namespace": "default", "paused": false, "draining": false,
                "weights": {}, "age_step_ms": 600000, "ready": 12, "running": 3, "waiting": 0}]})
        ),
    )
)]
pub(crate) async fn list(State(app): State<App>, page: Page) -> Answer<LanesReply> {
    ok(app.engine.lanes(&page.namespace, page.limit, page.cursor.as_deref()).await)
}
