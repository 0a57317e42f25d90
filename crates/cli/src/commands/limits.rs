//! How much a server takes at once, and how long it waits.

use std::net::SocketAddr;
use std::time::Duration;

use stint_engine::EngineConfig;
use stint_server::ServerConfig;

/// Sizes and times of one server.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServeLimits {
    /// Largest request body, in KiB.
    #[arg(long, env = "STINT_MAX_BODY_KIB", default_value_t = 4 * 1_024, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    max_body_kib: u64,
    /// Largest input, output or step result, in KiB.
    #[arg(long, env = "STINT_MAX_PAYLOAD_KIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    max_payload_kib: u64,
    /// How long a request may take, in seconds; what it asks to wait comes on top.
    #[arg(long, env = "STINT_REQUEST_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    request_timeout: u64,
    /// How long begun requests may take to end when the server stops, in seconds.
    #[arg(long, env = "STINT_DRAIN_TIMEOUT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    drain_timeout: u64,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { max_body_kib: 4 * 1_024, max_payload_kib: 1_024, request_timeout: 30, drain_timeout: 10 }
    }
}

impl ServeLimits {
    /// Holds the engine to them.
    pub(crate) fn hold(&self, config: &mut EngineConfig) {
        config.limits.payload_bytes = bytes(self.max_payload_kib);
    }

    /// A server that listens here and is held to them.
    pub(crate) fn server(&self, listen: SocketAddr) -> ServerConfig {
        let mut config = ServerConfig::new(listen);
        config.body_bytes = bytes(self.max_body_kib);
        config.request_timeout = Duration::from_secs(self.request_timeout);
        config.drain_timeout = Duration::from_secs(self.drain_timeout);
        config
    }
}

fn bytes(kib: u64) -> usize {
    usize::try_from(kib.saturating_mul(1_024)).unwrap_or(usize::MAX)
}
