//! `GET /v1/doctor`

use axum::extract::State;
use stint_api::DoctorReply;

use super::App;
use crate::query::NoQuery;
use crate::reply::{Answer, ok};

/// Says what is not as it should be in the running server.
#[utoipa::path(
    get,
    path = "/v1/doctor",
    operation_id = "doctor",
    tag = "server",
    responses((status = 200, description = "What was looked at, and how it is.", body = DoctorReply))
)]
pub(super) async fn doctor(State(app): State<App>, _: NoQuery) -> Answer<DoctorReply> {
    ok(Ok(app.engine.doctor().await))
}
