//! `GET /v1/bulk`

use axum::extract::State;
use stint_api::BulksReply;

use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Lists the actions on many executions that run, and those that ended lately, newest first.
#[utoipa::path(
    get,
    path = "/v1/bulk",
    operation_id = "bulks",
    tag = "bulk",
    params(Namespace),
    responses((status = 200, description = "The jobs.", body = BulksReply))
)]
pub(crate) async fn list(State(app): State<App>, Namespace(namespace): Namespace) -> Answer<BulksReply> {
    ok(app.engine.bulks(&namespace).await)
}
