//! What one endpoint counts: plain atomics, held by the endpoint, read at a scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use stint_engine::Buckets;

/// Methods by index; the last stands for all others.
pub(crate) const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "OTHER"];

/// Statuses by index; the last stands for all others.
pub(crate) const STATUSES: [u16; 19] =
    [200, 201, 202, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 500, 501, 503, 507];

/// Bounds of latencies, in microseconds.
const SECONDS_US: &[u64] = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000, 60_000_000,
];

/// Counts one endpoint's requests.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) route: Arc<str>,
    /// By method and status.
    answered: [[AtomicU64; STATUSES.len() + 1]; METHODS.len()],
    pub(crate) took_us: Buckets,
    open: AtomicU64,
}

/// A request that is not answered yet, whatever becomes of it.
pub(crate) struct OpenRequest(Arc<Meter>);

impl Meter {
    pub(crate) fn new(route: &str) -> Arc<Self> {
        Arc::new(Self {
            route: route.into(),
            answered: Default::default(),
            took_us: Buckets::new(SECONDS_US),
            open: AtomicU64::new(0),
        })
    }

    pub(crate) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Relaxed);
        OpenRequest(self.clone())
    }

    /// Requests that are not answered yet.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Those that were answered, by method and status (0 is any other), where there are any.
    pub(crate) fn answered(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        METHODS.iter().zip(&self.answered).flat_map(|(method, counts)| {
            let statuses = STATUSES.iter().copied().chain([0]);
            statuses
                .zip(counts)
                .map(|(status, count)| (*method, status, count.load(Relaxed)))
                .filter(|row| row.2 > 0)
        })
    }
}

impl OpenRequest {
    pub(crate) fn answered(self, method: &Method, status: StatusCode, took: Duration) {
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let status = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len());
        if let Some(count) = self.0.answered.get(method).and_then(|counts| counts.get(status)) {
            count.fetch_add(1, Relaxed);
        }
        self.0.took_us.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
