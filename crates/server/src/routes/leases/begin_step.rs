//! `POST /v1/leases/{lease}/steps`

use axum::extract::State;
use stint_api::{StepReply, StepRequest};

use crate::extract::{Post, Segment};
use crate::problems::Steps;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Asks whether to run a step of the journal.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/steps",
    operation_id = "begin_step",
    tag = "leases",
    request_body(content = StepRequest, example = json!({"key": "charge-card"})),
    responses(
        (
            status = 200, description = "Run it, or what is known of it.", body = StepReply,
            example = json!({"run": true})
        ),
        Steps,
    )
)]
pub(crate) async fn begin_step(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<StepRequest>,
) -> Answer<StepReply> {
    ok(app.engine.begin_step(&lease, post.request).await)
}
