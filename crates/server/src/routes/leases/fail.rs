//! `POST /v1/leases/{lease}/fail`

use axum::extract::State;
use stint_api::{EndReply, FailRequest};

use crate::extract::{Post, Segment};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn fail(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<FailRequest>,
) -> Answer<EndReply> {
    ok(app.engine.fail(&lease, post.request).await)
}
