//! Latencies and what processes use.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::proc::{self, Reading};

/// Latencies of one operation, in microseconds, with three significant digits.
#[derive(Debug)]
pub(super) struct Latencies(Mutex<Histogram<u64>>);

/// What this process and the server used, from the start of a measurement.
#[derive(Debug)]
pub(super) struct Usage {
    began: Instant,
    server_pid: Option<u32>,
    own: Reading,
    server: Reading,
}

/// What was used in a measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) elapsed: Duration,
    pub(super) own_cpu: Duration,
    pub(super) server_cpu: Duration,
    pub(super) written: u64,
    pub(super) rss: u64,
}

impl Latencies {
    pub(super) fn new() -> Result<Self> {
        // A latency above ten minutes is recorded as ten minutes.
        Ok(Self(Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?)))
    }

    pub(super) fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
    }

    pub(super) fn quantile_us(&self, quantile: f64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value_at_quantile(quantile)
    }

    pub(super) fn figures(&self) -> Value {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |us: u64| us as f64 / 1_000.0;
        json!({
            "count": histogram.len(),
            "p50_ms": ms(histogram.value_at_quantile(0.50)),
            "p95_ms": ms(histogram.value_at_quantile(0.95)),
            "p99_ms": ms(histogram.value_at_quantile(0.99)),
            "max_ms": ms(histogram.max()),
        })
    }
}

impl Usage {
    pub(super) fn start(server_pid: Option<u32>) -> Result<Self> {
        let server = server_pid.map(proc::read).transpose()?.unwrap_or_default();
        Ok(Self { began: Instant::now(), server_pid, own: proc::read_self()?, server })
    }

    pub(super) fn stop(&self) -> Result<Used> {
        let own = proc::read_self()?;
        let server = self.server_pid.map(proc::read).transpose()?;
        let holder = server.unwrap_or(own);
        let before = if server.is_some() { self.server } else { self.own };
        Ok(Used {
            elapsed: self.began.elapsed(),
            own_cpu: own.cpu.saturating_sub(self.own.cpu),
            server_cpu: server.map_or(Duration::ZERO, |server| server.cpu.saturating_sub(self.server.cpu)),
            written: holder.written.saturating_sub(before.written),
            rss: holder.rss,
        })
    }
}

impl Used {
    /// Figures about `tasks` tasks. Memory and bytes written are those of the process that holds the store.
    pub(super) fn figures(&self, tasks: u64) -> Value {
        let thousands = (tasks as f64 / 1_000.0).max(f64::MIN_POSITIVE);
        json!({
            "elapsed_s": round(self.elapsed.as_secs_f64()),
            "cpu_s_per_1000": round((self.own_cpu + self.server_cpu).as_secs_f64() / thousands),
            "server_cpu_s_per_1000": round(self.server_cpu.as_secs_f64() / thousands),
            "rss_mib": round(self.rss as f64 / f64::from(1 << 20)),
            "written_mib": round(self.written as f64 / f64::from(1 << 20)),
        })
    }

    pub(super) fn per_second(&self, tasks: u64) -> f64 {
        round(tasks as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE))
    }
}

/// Four decimals are enough for every figure.
pub(super) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
