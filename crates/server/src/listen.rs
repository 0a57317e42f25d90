//! The server's life: bind, accept, drain.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use stint_engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::connection::{Connections, open};
use crate::request_id::RequestIds;
use crate::routes::router;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen: a loopback address, port 0 for any free one.
    pub listen: SocketAddr,
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take beside that, and beside what a long poll waits.
    pub request_timeout: Duration,
    /// How long open requests may take to end once the server is asked to stop.
    pub drain_timeout: Duration,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Not a loopback address.
    #[error(
        "refusing to listen on {0}: there are no API keys yet, so whoever can reach the address could do \
         anything; listen on 127.0.0.1 or [::1] and forward to it"
    )]
    NotLoopback(SocketAddr),
    /// The address can't be used.
    #[error("cannot listen on {address}; choose another port, or stop what listens there")]
    Unusable {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Whether a server could listen there now. Only a server that does keeps the address.
pub fn check_address(listen: SocketAddr) -> Result<(), BindError> {
    check_loopback(listen)?;
    std::net::TcpListener::bind(listen)
        .map(drop)
        .map_err(|source| BindError::Unusable { address: listen, source })
}

/// A server that has its address and doesn't answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    engine: Engine,
    config: ServerConfig,
}

impl ServerConfig {
    /// Listens here, with the limits of the API's documentation.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            body_bytes: stint_api::BODY_BYTES,
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Server {
    /// Takes the address.
    pub async fn bind(engine: Engine, config: ServerConfig) -> Result<Self, BindError> {
        let address = config.listen;
        check_loopback(address)?;
        let unusable = |source| BindError::Unusable { address, source };
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        Ok(Self { listener, address, engine, config })
    }

    /// The address it listens on, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown` is done. Then refuses new ones with `draining`, lets the engine drain, which
    /// answers all parked polls, and returns when all open requests are answered or the time for it is over.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, engine, config, .. } = self;
        let router = router(engine.clone(), &config);
        let ids = RequestIds::new((engine.node().random() >> 96) as u32);
        let mut connections = Connections::new(router, ids);
        let watcher = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut shutdown => break,
                stream = accept(&listener) => stream,
            };
            serve_one(watcher.watch(open(&connections, stream)));
        }
        info!(timeout_ms = config.drain_timeout.as_millis() as u64, "draining");
        connections.drain();
        let ended = async {
            tokio::join!(engine.drain(), watcher.shutdown());
        };
        let mut ended = std::pin::pin!(tokio::time::timeout(config.drain_timeout, ended));
        // Who comes now is told so, instead of finding nobody.
        let in_time = loop {
            tokio::select! {
                biased;
                ended = &mut ended => break ended.is_ok(),
                stream = accept(&listener) => serve_one(open(&connections, stream)),
            }
        };
        if !in_time {
            warn!("requests were cut off by the shutdown");
        }
    }
}

fn check_loopback(address: SocketAddr) -> Result<(), BindError> {
    if address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(BindError::NotLoopback(address)) }
}

fn serve_one(open: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    tokio::spawn(async move {
        // A connection that breaks is the client's business.
        let _: Result<(), hyper::Error> = open.await;
    });
}

/// The next connection. Running out of file descriptors ends nothing: the next close frees one.
async fn accept(listener: &TcpListener) -> TcpStream {
    const PAUSE: Duration = Duration::from_millis(50);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this a reply waits up to 40 ms for the client's delayed acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%error, "cannot set TCP_NODELAY");
                }
                return stream;
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
