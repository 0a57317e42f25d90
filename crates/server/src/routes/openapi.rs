//! `GET /v1/openapi.json`

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::App;
use crate::query::NoQuery;

/// This document.
///
/// OpenAPI 3.1, made from the code that answers.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "server",
    responses((status = 200, description = "The document.", body = serde_json::Value))
)]
pub(super) async fn openapi(State(app): State<App>, _: NoQuery) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.document).into_response()
}
