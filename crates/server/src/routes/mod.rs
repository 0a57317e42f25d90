//! All endpoints there are.

mod executions;
mod health;
mod lanes;
mod leases;
mod worker;
mod workers;

use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{get, post};
use stint_api::{Code, DEFAULT_NAMESPACE, Problem};
use stint_engine::Engine;

use crate::ServerConfig;
use crate::reply::Refusal;

/// What every handler has.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) body_bytes: usize,
    pub(crate) body_timeout: Duration,
}

impl App {
    pub(crate) fn new(engine: Engine, config: &ServerConfig) -> Self {
        Self { engine, body_bytes: config.body_bytes, body_timeout: config.body_timeout }
    }
}

/// The endpoints, each with its handler.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/executions", post(executions::submit::submit))
        .route("/v1/executions/batch", post(executions::submit_batch::submit_batch))
        .route("/v1/executions/{id}", get(executions::get::get))
        .route("/v1/executions/{id}/result", get(executions::result::result))
        .route("/v1/executions/{id}/why", get(executions::why::why))
        .route("/v1/executions/{id}/cancel", post(executions::cancel::cancel))
        .route("/v1/executions/{id}/replay", post(executions::replay::replay))
        .route("/v1/executions/{id}/priority", post(executions::priority::priority))
        .route("/v1/executions/{id}/pause", post(executions::pause::pause))
        .route("/v1/executions/{id}/resume", post(executions::resume::resume))
        .route("/v1/executions/{id}/revoke", post(executions::revoke::revoke))
        .route("/v1/leases", post(leases::claim::claim))
        .route("/v1/leases/{lease}/heartbeat", post(leases::heartbeat::heartbeat))
        .route("/v1/leases/{lease}/complete", post(leases::complete::complete))
        .route("/v1/leases/{lease}/fail", post(leases::fail::fail))
        .route("/v1/leases/{lease}/release", post(leases::release::release))
        .route("/v1/leases/{lease}/steps", post(leases::begin_step::begin_step))
        .route("/v1/leases/{lease}/steps/{key}/result", post(leases::record_step::record_step))
        .route("/v1/worker/exchange", post(worker::exchange::exchange))
        .route("/v1/workers", get(workers::list::list))
        .route("/v1/lanes/{name}", get(lanes::get::get).put(lanes::set::set))
        .route("/v1/lanes/{name}/pause", post(lanes::pause::pause))
        .route("/v1/lanes/{name}/resume", post(lanes::resume::resume))
        .route("/v1/lanes/{name}/drain", post(lanes::drain::drain))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(no_endpoint)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

/// The namespace that a body names, or the default.
pub(crate) fn namespace_of(given: Option<&String>) -> String {
    given.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), String::clone)
}

async fn no_endpoint(uri: Uri) -> Refusal {
    let detail = format!("there is no endpoint {}", uri.path());
    Refusal(Problem::new(Code::NotFound, detail).remedy("The endpoints are listed in docs/API.md."))
}

async fn no_method(method: Method, uri: Uri) -> Refusal {
    Refusal(Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path())))
}
