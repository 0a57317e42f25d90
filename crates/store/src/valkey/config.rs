//! Where the server is, and what a `Yes` means there.

use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::link::CALL_TIMEOUT;

/// How to reach the server or cluster.
#[derive(Clone)]
pub struct ValkeyConfig {
    /// `valkey://[USER:PASSWORD@]HOST[:PORT][/DB]` or `redis://...` for one server,
    /// `valkey+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]...` or `redis+cluster://...` for a cluster.
    pub url: String,
    /// First part of every key, so that several stores can share a server. Not empty, without braces.
    pub prefix: String,
    /// What a `Yes` means.
    pub ack: Ack,
}

/// When a commit counts as confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    /// It is in the primary's memory. A crash or fail-over of the server may lose what was confirmed last; the next
    /// open or commit finds that out.
    Memory,
}

/// The parsed URL.
pub(super) enum Address {
    Single(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

impl ValkeyConfig {
    /// The URL without user and password, for messages.
    pub fn shown_url(&self) -> String {
        match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, hosts))) => format!("{scheme}://{hosts}"),
            _ => self.url.clone(),
        }
    }

    pub(super) fn address(&self) -> Result<Address, String> {
        let (scheme, rest) = self.url.split_once("://").ok_or("the URL has no scheme")?;
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            return Err("the prefix must not be empty nor contain braces".to_owned());
        }
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), rest),
        };
        match scheme {
            "valkey" | "redis" => Ok(Address::Single(Box::new(node(&login, hosts)?))),
            "valkey+cluster" | "redis+cluster" => hosts
                .split(',')
                .map(|host| node(&login, host))
                .collect::<Result<_, _>>()
                .map(Address::Cluster),
            "valkeys" | "rediss" | "valkeys+cluster" | "rediss+cluster" => Err(format!(
                "{scheme}:// needs TLS, which this build does not speak; use valkey:// or redis://"
            )),
            other => Err(format!("{other}:// is neither valkey://, redis:// nor valkey+cluster://")),
        }
    }
}

impl std::fmt::Debug for ValkeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        let Self { url: _, prefix, ack } = self;
        f.debug_struct("ValkeyConfig")
            .field("url", &self.shown_url())
            .field("prefix", prefix)
            .field("ack", ack)
            .finish()
    }
}

fn node(login: &str, host: &str) -> Result<ConnectionInfo, String> {
    let info = format!("redis://{login}{host}")
        .into_connection_info()
        .map_err(|error| format!("{host} is not HOST:PORT: {}", error.detail().unwrap_or("malformed")))?;
    // Without nodelay the second of two small writes waits for a round trip; the time-out notices a peer that
    // vanished without a word.
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(CALL_TIMEOUT);
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Ok(info.set_tcp_settings(tcp).set_redis_settings(settings))
}
