//! Endpoints on their way into the router: each is watched, and each describes itself.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::ServerConfig;
use crate::meter::Meter;
use crate::routes::{App, no_method};
use crate::watch::Watch;

/// What requests are counted under that no endpoint takes.
pub(crate) const NO_ROUTE: &str = "(none)";

/// Endpoints that may wait for something to say, as long as their caller wants, on top of what any may take.
const POLLS: [&str; 3] = ["/v1/executions/{id}/result", "/v1/leases", "/v1/worker/exchange"];

/// See the file's documentation.
pub(crate) struct Endpoints {
    pub(crate) router: OpenApiRouter<App>,
    pub(crate) meters: Vec<Arc<Meter>>,
    body_timeout: Duration,
    request_timeout: Duration,
}

impl Endpoints {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            router: OpenApiRouter::new(),
            meters: Vec::new(),
            body_timeout: config.body_timeout,
            request_timeout: config.request_timeout,
        }
    }

    /// Adds the handlers of one path.
    pub(crate) fn routes(mut self, (schemas, paths, methods): UtoipaMethodRouter<App>) -> Self {
        let path = paths.paths.keys().next().cloned().unwrap_or_default();
        // A body has its own time, before the handler's begins.
        let mut patience = self.request_timeout + self.body_timeout;
        if POLLS.contains(&&*path) {
            patience += Duration::from_millis(stint_api::WAIT_MS);
        }
        let watch = self.watch(&path, patience);
        self.meters.push(watch.meter.clone());
        self.router = self.router.routes((schemas, paths, methods.fallback(no_method).layer(watch)));
        self
    }

    /// Adds the handlers of paths of several segments, which one route takes; each describes itself with a path of its own.
    pub(crate) fn wildcard(
        mut self,
        route: &str,
        methods: MethodRouter<App>,
        described: Vec<UtoipaMethodRouter<App>>,
    ) -> Self {
        let document = self.router.get_openapi_mut();
        for (schemas, paths, _) in described {
            let components = document.components.get_or_insert_with(Default::default);
            components.schemas.extend(schemas);
            document.paths.merge(paths);
        }
        let watch = self.watch(&route.replace("{*", "{"), self.request_timeout + self.body_timeout);
        self.meters.push(watch.meter.clone());
        self.router = self.router.route(route, methods.fallback(no_method).layer(watch));
        self
    }

    /// Watches one route.
    pub(crate) fn watch(&self, path: &str, patience: Duration) -> Watch {
        Watch { meter: Meter::new(path), patience }
    }
}
