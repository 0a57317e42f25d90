//! What a server says about its settings, for whoever wants to know what it promises.

use std::time::Duration;

use redis::Value;

use super::config::ValkeyConfig;
use super::link::Link;
use super::server::field;
use crate::clock::system_ms;

/// Settings of one primary.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerSettings {
    /// Name and version, such as `Valkey 9.1.2`.
    pub version: String,
    /// `master` or `slave`.
    pub role: String,
    /// What happens when memory is short; `noeviction` keeps everything.
    pub maxmemory_policy: Option<String>,
    /// Bytes it may use, 0 without a limit.
    pub maxmemory: u64,
    /// Bytes it uses.
    pub used_memory: u64,
    /// Whether writes are appended to a file.
    pub aof_enabled: bool,
    /// When that file is forced to disk; `None` where the server does not tell.
    pub appendfsync: Option<String>,
    /// Whether the last write of that file succeeded.
    pub aof_fine: bool,
    /// Replicas that are connected.
    pub replicas: u64,
    /// Whether it belongs to a cluster.
    pub cluster: bool,
}

/// Settings of a server or of all primaries of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// One by one.
    pub servers: Vec<ServerSettings>,
    /// What the cluster says of its own state; `None` outside of one.
    pub cluster_state: Option<String>,
    /// How far the server's clock is ahead of this machine's, ms; about the time of a round trip is noise.
    pub clock_ahead_ms: i64,
    /// How long one call took.
    pub round_trip: Duration,
}

/// Asks a server or cluster, of whatever version and settings. Changes nothing.
pub async fn settings(config: &ValkeyConfig) -> Result<Settings, String> {
    let link = Link::connect(config.address()?).await?;
    let mut infos: Vec<String> = Vec::new();
    for section in ["server", "memory", "replication", "persistence", "cluster"] {
        let said = link.info(section).await.map_err(|error| error.message().to_owned())?;
        infos.resize(infos.len().max(said.len()), String::new());
        for (info, more) in infos.iter_mut().zip(said) {
            info.push_str(&more);
            info.push_str("\r\n");
        }
    }
    let mut servers: Vec<ServerSettings> = infos.iter().map(|info| read(info)).collect();
    // May be forbidden or renamed: then it is not known. Of a cluster's primaries one is asked: it can't be asked of all
    // by key.
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("appendfsync");
    if let [server] = servers.as_mut_slice()
        && let Ok(answer) = link.call(&ask).await
        && let Ok(pairs) = redis::from_redis_value::<Vec<String>>(answer)
    {
        server.appendfsync = pairs.get(1).cloned();
    }
    let mut cluster_state = None;
    if servers.iter().any(|server| server.cluster) {
        let mut ask = redis::cmd("CLUSTER");
        ask.arg("INFO");
        let said = link.call(&ask).await.map_err(|error| error.message().to_owned())?;
        let said: String = redis::from_redis_value(said).unwrap_or_default();
        cluster_state = field(&said, "cluster_state").map(str::to_owned);
    }
    let before = system_ms();
    let began = std::time::Instant::now();
    let time = link.call(&redis::cmd("TIME")).await.map_err(|error| error.message().to_owned())?;
    let round_trip = began.elapsed();
    let half_ms = i64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
    let clock_ahead_ms = clock(time).map_or(0, |ms| ms.saturating_sub(before.saturating_add(half_ms)));
    Ok(Settings { servers, cluster_state, clock_ahead_ms, round_trip })
}

fn clock(time: Value) -> Option<i64> {
    let (seconds, micros): (i64, i64) = redis::from_redis_value(time).ok()?;
    Some(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
}

fn read(info: &str) -> ServerSettings {
    let text = |name| field(info, name).map(str::to_owned);
    let number = |name| field(info, name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let version = match (field(info, "valkey_version"), field(info, "redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "unknown".to_owned(),
    };
    ServerSettings {
        version,
        role: text("role").unwrap_or_default(),
        maxmemory_policy: text("maxmemory_policy"),
        maxmemory: number("maxmemory"),
        used_memory: number("used_memory"),
        aof_enabled: field(info, "aof_enabled") == Some("1"),
        appendfsync: None,
        aof_fine: field(info, "aof_last_write_status").is_none_or(|status| status == "ok"),
        replicas: number("connected_slaves"),
        cluster: field(info, "cluster_enabled") == Some("1"),
    }
}
