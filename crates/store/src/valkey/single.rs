//! A connection to one server that is made anew when it breaks.
//!
//! Not the client's own `ConnectionManager`: there one can't tell a command that never left from one whose reply
//! is lost, and only the first is certainly not applied.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, RedisResult, Value};

use super::link::{CALL_TIMEOUT, CONNECT_TIMEOUT, CallError};

/// After a failed attempt to connect, calls fail at once for this long, ms.
const RECONNECT_PAUSE_MS: u128 = 100;

pub(super) struct Single {
    client: Client,
    open: RwLock<Option<Open>>,
    /// Held while connecting, so that one does it and the others wait for the outcome.
    connecting: tokio::sync::Mutex<Option<Failure>>,
}

#[derive(Clone)]
struct Open {
    /// Tells this connection from the one that replaces it.
    mark: Arc<()>,
    connection: MultiplexedConnection,
}

struct Failure {
    at: Instant,
    message: String,
}

impl Single {
    pub(super) fn new(info: ConnectionInfo) -> RedisResult<Self> {
        let client = Client::open(info)?;
        Ok(Self { client, open: RwLock::new(None), connecting: tokio::sync::Mutex::new(None) })
    }

    /// Makes sure that there is a connection.
    pub(super) async fn connect(&self) -> Result<(), CallError> {
        self.connection().await.map(|_| ())
    }

    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, CallError> {
        let mut open = self.connection().await?;
        let answer = open.connection.req_packed_command(command).await.and_then(Value::extract_error);
        answer.map_err(|error| {
            let error = CallError::new(&error, false);
            if matches!(error, CallError::Lost(_)) {
                // Also after a time-out: a peer that vanished would leave every later call waiting too.
                self.drop_connection(&open.mark);
            }
            error
        })
    }

    async fn connection(&self) -> Result<Open, CallError> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let mut last = self.connecting.lock().await;
        if let Some(open) = self.current() {
            return Ok(open);
        }
        if let Some(failure) = &*last
            && failure.at.elapsed().as_millis() < RECONNECT_PAUSE_MS
        {
            return Err(CallError::NotSent(failure.message.clone()));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CALL_TIMEOUT));
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                *last = None;
                let open = Open { mark: Arc::new(()), connection };
                *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open.clone());
                Ok(open)
            }
            Err(error) => {
                let message = format!("can't connect: {error}");
                *last = Some(Failure { at: Instant::now(), message: message.clone() });
                Err(CallError::NotSent(message))
            }
        }
    }

    fn current(&self) -> Option<Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn drop_connection(&self, mark: &Arc<()>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.mark, mark)) {
            *open = None;
        }
    }
}
