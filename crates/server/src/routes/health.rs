//! `GET /livez` and `GET /readyz`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use stint_api::ReadyReply;

use super::App;
use crate::reply::{Answer, Reply, ok};

/// The process answers.
#[derive(Serialize)]
pub(crate) struct Live {
    status: &'static str,
}

pub(super) async fn live() -> Reply<Live> {
    Reply(StatusCode::OK, Live { status: "alive" })
}

pub(super) async fn ready(State(app): State<App>) -> Answer<ReadyReply> {
    ok(app.engine.ready())
}
