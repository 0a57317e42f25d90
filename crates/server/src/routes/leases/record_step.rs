//! `POST /v1/leases/{lease}/steps/{key}/result`

use axum::extract::State;
use stint_api::{EndReply, StepResultRequest};

use crate::extract::{Post, Segments};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn record_step(
    State(app): State<App>,
    Segments(lease, key): Segments,
    post: Post<StepResultRequest>,
) -> Answer<EndReply> {
    ok(app.engine.record_step(&lease, &key, post.request).await)
}
