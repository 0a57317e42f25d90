//! `GET /metrics`

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use stint_api::{Code, Problem};

use super::App;
use crate::metrics::{self, Scrape};
use crate::query::NoQuery;
use crate::reply::Refusal;

/// What is counted and measured.
///
/// In the text format of OpenMetrics, which Prometheus reads. `docs/METRICS.md` lists everything.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "server",
    responses((status = 200, description = "All metrics.", body = String, content_type = "application/openmetrics-text"))
)]
pub(super) async fn metrics(State(app): State<App>, _: NoQuery) -> Result<Response, Refusal> {
    let seen = app.engine.observe().await;
    let scrape = Scrape { seen, meters: app.meters.clone(), uptime: app.began.elapsed() };
    match metrics::write(scrape) {
        Ok(text) => Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()),
        Err(_) => Err(Problem::new(Code::Internal, "the metrics could not be written").into()),
    }
}
