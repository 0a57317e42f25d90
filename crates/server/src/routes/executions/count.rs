//! `GET /v1/executions/count`

use axum::extract::State;
use stint_api::CountReply;

use crate::filter::Count;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Counts executions, as far as 100,000.
#[utoipa::path(
    get,
    path = "/v1/executions/count",
    operation_id = "count",
    tag = "executions",
    params(Count),
    responses(
        (
            status = 200, description = "How many, and whether there may be more.", body = CountReply,
            example = json!({"count": 1234, "at_least": false})
        ),
    )
)]
pub(crate) async fn count(State(app): State<App>, Count(request): Count) -> Answer<CountReply> {
    ok(app.engine.count(request).await)
}
