//! One line per request, for who wants to know who asked what.

use std::time::Instant;

use axum::http::{HeaderValue, Method, Request, StatusCode};
use tracing::debug;

/// A request, as its line will show it.
pub(crate) struct Access {
    began: Instant,
    method: Method,
    path: String,
}

impl Access {
    pub(crate) fn new<B>(request: &Request<B>) -> Self {
        Self {
            began: Instant::now(),
            method: request.method().clone(),
            path: without_leases(request.uri().path()),
        }
    }

    /// Queries are left out: they may hold what is nobody's business.
    pub(crate) fn log(self, id: &HeaderValue, status: StatusCode) {
        debug!(
            target: "stint_server::access",
            request_id = id.to_str().unwrap_or_default(),
            method = self.method.as_str(),
            path = self.path,
            status = status.as_u16(),
            took_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
    }
}

/// A lease is a secret: who reads a log must not be able to speak for an attempt.
fn without_leases(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    let mut before = "";
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            shown.push('/');
        }
        shown.push_str(if before == "leases" || segment.starts_with("ls_") { "{lease}" } else { segment });
        before = segment;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::without_leases;

    #[test]
    fn no_lease_is_shown() {
        assert_eq!(without_leases("/v1/leases/ls_abc/steps/k/result"), "/v1/leases/{lease}/steps/k/result");
        assert_eq!(without_leases("/v1/leases/whatever"), "/v1/leases/{lease}");
        assert_eq!(without_leases("/v1/executions/ls_abc/why"), "/v1/executions/{lease}/why");
        assert_eq!(without_leases("/v1/executions/ex_1"), "/v1/executions/ex_1");
        assert_eq!(without_leases("/v1/leases"), "/v1/leases");
    }
}
