//! `POST /v1/leases/{lease}/complete`

use axum::extract::State;
use stint_api::{CompleteRequest, EndReply};

use crate::extract::{Post, Segment};
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn complete(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<CompleteRequest>,
) -> Answer<EndReply> {
    ok(app.engine.complete(&lease, post.request).await)
}
