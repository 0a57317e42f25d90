//! `GET /v1/executions/{id}/logs`

use axum::extract::State;
use stint_api::LogsReply;

use crate::extract::Segment;
use crate::page::PageOfAttempt;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the lines that an execution's attempts logged.
///
/// Oldest first, of all attempts or of one.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}/logs",
    operation_id = "logs",
    tag = "executions",
    params(PageOfAttempt),
    responses(
        (
            status = 200, description = "The lines.", body = LogsReply,
            example = json!({"lines": [{"attempt": 1, "at": "2026-11-23T11:00:00.000Z", "line": "page 4 of 10"}]})
        ),
    )
)]
pub(crate) async fn logs(
    State(app): State<App>,
    Segment(id): Segment,
    PageOfAttempt { page, attempt }: PageOfAttempt,
) -> Answer<LogsReply> {
    ok(app.engine.logs(&page.namespace, &id, attempt, page.limit, page.cursor.as_deref()).await)
}
