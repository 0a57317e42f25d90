//! The connection, and what may be concluded when a call on it fails.

use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{Cmd, ErrorKind, ProtocolVersion, RedisError, Value};

use super::config::Address;
use super::single::Single;

/// A reply later than this is an unknown outcome.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits between a cluster's redirections and retries, ms.
const RETRY_WAIT_MIN_MS: u64 = 10;
const RETRY_WAIT_MAX_MS: u64 = 500;

/// A connection that mends itself; cheap to share. It sends nothing of its own while nobody calls.
pub(super) enum Link {
    Single(Box<Single>),
    /// The client routes, follows redirections, and sends again what it lost sight of.
    Cluster(ClusterConnection),
}

/// Why a call has no reply.
#[derive(Debug)]
pub(super) enum CallError {
    /// It never left.
    NotSent(String),
    /// The server refused it. `again`: it may have been sent before, and what became of that is unknown.
    Refused { code: String, message: String, again: bool },
    /// It may have arrived.
    Lost(String),
}

impl CallError {
    /// `again`: the client may have sent the command more than once.
    pub(super) fn new(error: &RedisError, again: bool) -> Self {
        let message = error.to_string();
        match (error.kind(), error.code()) {
            (ErrorKind::Server(_) | ErrorKind::Extension, Some(code)) => {
                Self::Refused { code: code.to_owned(), message, again }
            }
            _ => Self::Lost(message),
        }
    }

    pub(super) fn is_no_script(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "NOSCRIPT")
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::NotSent(message) | Self::Refused { message, .. } | Self::Lost(message) => message,
        }
    }
}

impl Link {
    pub(super) async fn connect(address: Address) -> Result<Self, String> {
        let nodes = match address {
            Address::Single(info) => {
                let single = Single::new(*info).map_err(|error| error.to_string())?;
                single.connect().await.map_err(|error| error.message().to_owned())?;
                return Ok(Self::Single(Box::new(single)));
            }
            Address::Cluster(nodes) => nodes,
        };
        let connect = async {
            ClusterClient::builder(nodes)
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(CALL_TIMEOUT)
                .overall_response_timeout(Some(CALL_TIMEOUT))
                .min_retry_wait(RETRY_WAIT_MIN_MS)
                .max_retry_wait(RETRY_WAIT_MAX_MS)
                .tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(CALL_TIMEOUT))
                .use_protocol(ProtocolVersion::RESP2)
                .build()?
                .get_async_connection()
                .await
        };
        connect.await.map(Self::Cluster).map_err(|error| error.to_string())
    }

    /// Sends one command to the node that holds its keys.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, CallError> {
        match self {
            Self::Single(single) => single.call(command).await,
            Self::Cluster(connection) => {
                use redis::aio::ConnectionLike;
                let mut connection = connection.clone();
                let answer = connection.req_packed_command(command).await.and_then(Value::extract_error);
                answer.map_err(|error| CallError::new(&error, true))
            }
        }
    }

    /// Asks every primary for a section of `INFO`.
    pub(super) async fn info(&self, section: &str) -> Result<Vec<String>, CallError> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        let replies = match self {
            Self::Single(single) => vec![single.call(&command).await?],
            Self::Cluster(connection) => {
                let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let reply = connection.clone().route_command(command, primaries).await;
                match reply.map_err(|error| CallError::Lost(error.to_string()))? {
                    Value::Map(nodes) => nodes.into_iter().map(|(_, info)| info).collect(),
                    other => vec![other],
                }
            }
        };
        replies
            .into_iter()
            .map(|reply| redis::from_redis_value(reply).map_err(|error| CallError::Lost(error.to_string())))
            .collect()
    }
}
