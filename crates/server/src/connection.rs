//! One connection: HTTP/1.1, and a handler that panics answers for itself.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use stint_api::{Code, Problem};
use tokio::net::TcpStream;
use tower_service::Service;
use tracing::{Level, error};

use crate::access::Access;
use crate::guard::check_host;
use crate::reply::Refusal;
use crate::request_id::{REQUEST_ID, RequestIds};

/// How long a client may take to send the head of its first request, or of the next one once begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections have in common.
pub(crate) struct Connections {
    http: http1::Builder,
    shared: Arc<Shared>,
}

/// What all requests have in common.
struct Shared {
    router: Router,
    ids: RequestIds,
    draining: AtomicBool,
}

/// A connection being served.
pub(crate) type Open = http1::Connection<TokioIo<TcpStream>, Requests>;

/// The requests of one connection.
pub(crate) struct Requests(Arc<Shared>);

impl Connections {
    pub(crate) fn new(router: Router, ids: RequestIds) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).pipeline_flush(true);
        Self { http, shared: Arc::new(Shared { router, ids, draining: AtomicBool::new(false) }) }
    }

    /// From now on new requests are refused, and a connection ends with its answer.
    pub(crate) fn drain(&mut self) {
        self.http.keep_alive(false);
        self.shared.draining.store(true, Relaxed);
    }
}

/// Begins to serve a connection.
pub(crate) fn open(connections: &Connections, stream: TcpStream) -> Open {
    connections.http.serve_connection(TokioIo::new(stream), Requests(connections.shared.clone()))
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let id = self.0.ids.of(request.headers());
        let seen = tracing::enabled!(Level::DEBUG).then(|| Access::new(&request));
        let refusal = check_host(request.headers()).and_then(|()| self.0.check_draining(&request));
        let answer = match refusal {
            Ok(()) => Either::Left(
                AssertUnwindSafe(self.0.router.clone().call(request.map(Body::new))).catch_unwind(),
            ),
            Err(problem) => Either::Right(std::future::ready(Ok(Ok(Refusal(problem).into_response())))),
        };
        Box::pin(async move {
            let mut response = match answer.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    // The panic hook has logged where; the payload may hold secrets.
                    error!("a handler panicked");
                    Refusal(Problem::new(Code::Internal, "the request could not be handled")).into_response()
                }
            };
            if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
                error!(request_id = id.to_str().unwrap_or_default(), "a request failed by a fault of ours");
            }
            if let Some(access) = seen {
                access.log(&id, response.status());
            }
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        })
    }
}

impl Shared {
    /// Who watches over the process may still ask how it is.
    fn check_draining(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let about_the_server = matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics");
        if self.draining.load(Relaxed) && !about_the_server {
            return Err(Problem::new(Code::Draining, "the server is shutting down"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Connections, open};
    use crate::request_id::RequestIds;

    async fn breaks() -> &'static str {
        panic!("this handler is broken")
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_and_the_connection_lives_on() {
        let router = Router::new().route("/broken", get(breaks)).route("/fine", get(|| async { "fine" }));
        let connections = Connections::new(router, RequestIds::new(1));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let served = tokio::spawn(open(&connections, stream));
        client
            .write_all(b"GET /broken HTTP/1.1\r\nhost: localhost\r\n\r\nGET /fine HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut read = String::new();
        client.read_to_string(&mut read).await.unwrap();
        assert!(read.starts_with("HTTP/1.1 500 ") && read.contains(r#""code":"internal""#), "{read}");
        assert!(read.contains("HTTP/1.1 200 OK") && read.ends_with("fine"), "{read}");
        served.await.unwrap().unwrap();
    }
}
