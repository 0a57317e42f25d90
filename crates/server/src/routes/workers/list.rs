//! `GET /v1/workers`

use axum::extract::State;
use stint_api::WorkersReply;

use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn list(State(app): State<App>, Namespace(namespace): Namespace) -> Answer<WorkersReply> {
    ok(app.engine.workers(&namespace).await.map(|workers| WorkersReply { workers }))
}
