//! `GET /livez` and `GET /readyz`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use stint_api::ReadyReply;

use super::App;
use crate::query::NoQuery;
use crate::reply::{Answer, Reply, ok};

/// The process answers.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Live {
    status: &'static str,
}

/// Whether the process is alive.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "live",
    tag = "server",
    responses((status = 200, description = "It is.", body = Live, example = json!({"status": "alive"})))
)]
pub(super) async fn live(_: NoQuery) -> Reply<Live> {
    Reply(StatusCode::OK, Live { status: "alive" })
}

/// Whether the server takes requests.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "server",
    responses((status = 200, description = "It does.", body = ReadyReply))
)]
pub(super) async fn ready(State(app): State<App>, _: NoQuery) -> Answer<ReadyReply> {
    ok(app.engine.ready())
}
