//! `POST /v1/worker/exchange`

use axum::extract::State;
use stint_api::{ExchangeReply, ExchangeRequest};

use crate::extract::Post;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn exchange(State(app): State<App>, post: Post<ExchangeRequest>) -> Answer<ExchangeReply> {
    ok(app.engine.exchange(post.request).await)
}
