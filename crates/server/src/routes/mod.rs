//! All endpoints there are.

mod budgets;
mod bulk;
mod doctor;
mod executions;
mod health;
mod holds;
mod lanes;
mod leases;
mod metrics;
mod namespaces;
mod openapi;
mod prices;
mod store;
mod worker;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::handler::HandlerWithoutStateExt;
use axum::http::{Method, Uri};
use bytes::Bytes;
use stint_api::{Code, DEFAULT_NAMESPACE, Problem};
use stint_engine::Engine;
use tower_layer::Layer;
use utoipa_axum::routes;

use crate::ServerConfig;
use crate::document::document;
use crate::endpoints::{Endpoints, NO_ROUTE};
use crate::meter::Meter;
use crate::reply::Refusal;

/// What every handler has.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) body_bytes: usize,
    pub(crate) body_timeout: Duration,
    /// The OpenAPI document, as it is sent.
    pub(crate) document: Bytes,
    pub(crate) meters: Arc<[Arc<Meter>]>,
    pub(crate) began: Instant,
}

/// The endpoints and what they say of themselves: one registration gives both, so that neither can be missing.
fn endpoints(config: &ServerConfig) -> Endpoints {
    Endpoints::new(config)
        .routes(routes!(executions::list::list, executions::submit::submit))
        .routes(routes!(executions::count::count))
        .routes(routes!(executions::submit_batch::submit_batch))
        .routes(routes!(executions::get::get))
        .routes(routes!(executions::result::result))
        .routes(routes!(executions::why::why))
        .routes(routes!(executions::events::events))
        .routes(routes!(executions::steps::steps))
        .routes(routes!(executions::logs::logs))
        .routes(routes!(executions::cancel::cancel))
        .routes(routes!(executions::replay::replay))
        .routes(routes!(executions::priority::priority))
        .routes(routes!(executions::tag::tag))
        .routes(routes!(executions::pause::pause))
        .routes(routes!(executions::resume::resume))
        .routes(routes!(executions::revoke::revoke))
        .routes(routes!(leases::claim::claim))
        .routes(routes!(leases::heartbeat::heartbeat))
        .routes(routes!(leases::complete::complete))
        .routes(routes!(leases::fail::fail))
        .routes(routes!(leases::release::release))
        .routes(routes!(leases::begin_step::begin_step))
        .routes(routes!(leases::record_step::record_step))
        .routes(routes!(leases::log::log))
        .routes(routes!(leases::charge::charge))
        .routes(routes!(leases::hold::hold))
        .routes(routes!(leases::suspended::suspended))
        .routes(routes!(budgets::list::list))
        .wildcard(budgets::ROUTE, budgets::methods(), budgets::described())
        .routes(routes!(holds::extend::extend))
        .routes(routes!(holds::charge::charge))
        .routes(routes!(holds::settle::settle))
        .routes(routes!(holds::release::release))
        .routes(routes!(prices::get::get, prices::set::set))
        .routes(routes!(worker::exchange::exchange))
        .routes(routes!(workers::list::list))
        .routes(routes!(workers::drain::drain))
        .routes(routes!(lanes::list::list))
        .routes(routes!(lanes::get::get, lanes::set::set))
        .routes(routes!(lanes::pause::pause))
        .routes(routes!(lanes::resume::resume))
        .routes(routes!(lanes::drain::drain))
        .routes(routes!(namespaces::get::get, namespaces::set::set))
        .routes(routes!(bulk::begin::begin, bulk::list::list))
        .routes(routes!(bulk::get::get))
        .routes(routes!(bulk::stop::stop))
        .routes(routes!(store::get::get))
        .routes(routes!(store::backup::backup))
        .routes(routes!(doctor::doctor))
        .routes(routes!(openapi::openapi))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// All endpoints over an engine.
pub(crate) fn router(engine: Engine, config: &ServerConfig) -> Router {
    let endpoints = endpoints(config);
    let nowhere = endpoints.watch(NO_ROUTE, config.request_timeout);
    let (router, collected) = endpoints.router.split_for_parts();
    let app = App {
        engine,
        body_bytes: config.body_bytes,
        body_timeout: config.body_timeout,
        document: document(collected).to_string().into(),
        meters: endpoints.meters.into_iter().chain([nowhere.meter.clone()]).collect(),
        began: Instant::now(),
    };
    router.fallback_service(nowhere.layer(no_endpoint.into_service())).with_state(app)
}

/// The namespace that a body names, or the default.
pub(crate) fn namespace_of(given: Option<&String>) -> String {
    given.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), String::clone)
}

async fn no_endpoint(uri: Uri) -> Refusal {
    let detail = format!("there is no endpoint {}", uri.path());
    Refusal(Problem::new(Code::NotFound, detail).remedy("The endpoints are listed in docs/API.md."))
}

/// Answers for methods that an endpoint does not have.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Refusal {
    Refusal(Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path())))
}
