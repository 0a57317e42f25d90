//! `POST /v1/leases`

use axum::extract::State;
use stint_api::{LeaseReply, LeaseRequest};

use crate::extract::Post;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn claim(State(app): State<App>, post: Post<LeaseRequest>) -> Answer<LeaseReply> {
    ok(app.engine.lease(post.request, post.key).await)
}
