//! `GET /v1/executions/{id}/result`

use axum::extract::State;
use stint_api::ResultReply;

use crate::extract::Segment;
use crate::query::Wait;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn result(State(app): State<App>, Segment(id): Segment, wait: Wait) -> Answer<ResultReply> {
    ok(app.engine.result(&wait.namespace, &id, wait.wait_ms).await)
}
