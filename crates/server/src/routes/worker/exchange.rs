//! `POST /v1/worker/exchange`

use axum::extract::State;
use stint_api::{ExchangeReply, ExchangeRequest};

use crate::extract::Post;
use crate::problems::Exchanges;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// All a worker says and hears, in one call.
///
/// Results, heartbeats and steps in; leases, answers and stops out. Answers as soon as it has anything to say.
#[utoipa::path(
    post,
    path = "/v1/worker/exchange",
    operation_id = "exchange",
    tag = "workers",
    request_body(
        content = ExchangeRequest,
        example = json!({"worker": {"name": "w1", "session": "b7Qz41", "capabilities": ["gpu"]}, "n": 1,
            "seen": 0, "lanes": ["default"], "max": 4, "wait_ms": 0})
    ),
    responses(
        (
            status = 200, description = "What the worker hears.", body = ExchangeReply,
            example = json!({"n": 1, "leases": [], "answers": [], "stops": []})
        ),
        Exchanges,
    )
)]
pub(crate) async fn exchange(State(app): State<App>, post: Post<ExchangeRequest>) -> Answer<ExchangeReply> {
    ok(app.engine.exchange(post.request).await)
}
