//! `POST /v1/leases/{lease}/logs`

use axum::extract::State;
use stint_api::{LogReply, LogRequest};

use crate::extract::{Post, Segment};
use crate::problems::Logs;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Adds lines to the log of an attempt.
///
/// All of them are kept, or none.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/logs",
    operation_id = "log",
    tag = "leases",
    request_body(content = LogRequest, example = json!({"lines": ["page 4 of 10", "page 5 of 10"]})),
    responses(
        (status = 200, description = "The lines are kept.", body = LogReply, example = json!({"accepted": 2})),
        Logs,
    )
)]
pub(crate) async fn log(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<LogRequest>,
) -> Answer<LogReply> {
    ok(app.engine.log(&lease, post.request, post.key).await)
}
