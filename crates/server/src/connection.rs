//! One connection: HTTP/1.1, and a handler that panics answers for itself.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use stint_api::{Code, Problem};
use tokio::net::TcpStream;
use tower_service::Service;
use tracing::error;

use crate::guard::check_host;
use crate::reply::Refusal;

/// How long a client may take to send the head of its first request, or of the next one once begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections have in common.
pub(crate) struct Connections {
    http: http1::Builder,
    router: Router,
}

/// A connection being served.
pub(crate) type Open = http1::Connection<TokioIo<TcpStream>, Requests>;

/// The requests of one connection.
pub(crate) struct Requests {
    router: Router,
}

impl Connections {
    pub(crate) fn new(router: Router) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).pipeline_flush(true);
        Self { http, router }
    }
}

/// Begins to serve a connection.
pub(crate) fn open(connections: &Connections, stream: TcpStream) -> Open {
    let requests = Requests { router: connections.router.clone() };
    connections.http.serve_connection(TokioIo::new(stream), requests)
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Err(problem) = check_host(request.headers()) {
            return Box::pin(std::future::ready(Ok(Refusal(problem).into_response())));
        }
        let answer = self.router.clone().call(request.map(Body::new));
        let answer = AssertUnwindSafe(answer).catch_unwind();
        Box::pin(async move {
            Ok(match answer.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    // The panic hook has logged where; the payload may hold secrets.
                    error!("a handler panicked");
                    Refusal(Problem::new(Code::Internal, "the request could not be handled")).into_response()
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Connections, open};

    async fn breaks() -> &'static str {
        panic!("this handler is broken")
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_and_the_connection_lives_on() {
        let router = Router::new().route("/broken", get(breaks)).route("/fine", get(|| async { "fine" }));
        let connections = Connections::new(router);
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
