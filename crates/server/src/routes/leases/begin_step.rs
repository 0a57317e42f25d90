//! `POST /v1/leases/{lease}/steps`

use axum::extract::State;
use stint_api::{StepReply, StepRequest};

use crate::extract::{Post, Segment};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn begin_step(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<StepRequest>,
) -> Answer<StepReply> {
    ok(app.engine.begin_step(&lease, post.request).await)
}
