//! `POST /v1/executions/batch`

use axum::extract::State;
use stint_api::{BatchReply, BatchRequest};

use crate::extract::Post;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn submit_batch(State(app): State<App>, post: Post<BatchRequest>) -> Answer<BatchReply> {
    ok(app.engine.submit_batch(post.request, post.key).await)
}
