//! `GET /v1/executions/{id}/steps`

use axum::extract::State;
use stint_api::StepsReply;

use crate::extract::Segment;
use crate::page::Page;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the journaled steps of an execution.
///
/// In the order of their keys. A page of large results may be short and still have a `next_cursor`.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}/steps",
    operation_id = "steps",
    tag = "executions",
    params(Page),
    responses(
        (
            status = 200, description = "The steps.", body = StepsReply,
            example = json!({"steps": [
                {"key": "charge-card", "state": "recorded", "attempt": 1, "output": {"receipt": 17},
                 "at": "2026-11-23T11:00:00.000Z"},
                {"key": "send-mail", "state": "started", "attempt": 2, "at": "2026-11-23T11:00:01.000Z"},
            ]})
        ),
    )
)]
pub(crate) async fn steps(State(app): State<App>, Segment(id): Segment, page: Page) -> Answer<StepsReply> {
    ok(app.engine.steps(&page.namespace, &id, page.limit, page.cursor.as_deref()).await)
}
