//! `POST /v1/leases/{lease}/steps/{key}/result`

use axum::extract::State;
use stint_api::{EndReply, StepResultRequest};

use crate::extract::{Post, Segments};
use crate::problems::Steps;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Records a step's result.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/steps/{key}/result",
    operation_id = "record_step",
    tag = "leases",
    request_body(content = StepResultRequest, example = json!({"output": {"receipt": 17}})),
    responses(
        (
            status = 200, description = "The result is kept.", body = EndReply,
            example = json!({"state": "running"})
        ),
        Steps,
    )
)]
pub(crate) async fn record_step(
    State(app): State<App>,
    Segments(lease, key): Segments,
    post: Post<StepResultRequest>,
) -> Answer<EndReply> {
    ok(app.engine.record_step(&lease, &key, post.request).await)
}
