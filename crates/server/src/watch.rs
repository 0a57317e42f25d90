//! What lies around every endpoint: it is counted, and answers in its time.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use stint_api::{Code, Problem};
use tower_layer::Layer;
use tower_service::Service;

use crate::meter::Meter;
use crate::reply::Refusal;

/// Watches one endpoint.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) meter: Arc<Meter>,
    /// How long it may take to begin its reply.
    pub(crate) patience: Duration,
}

/// An endpoint that is watched.
#[derive(Clone)]
pub(crate) struct Watched<S> {
    inner: S,
    watch: Watch,
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, watch: self.clone() }
    }
}

impl<S> Service<Request> for Watched<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (began, method, patience) = (Instant::now(), request.method().clone(), self.watch.patience);
        let open = self.watch.meter.begin();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match tokio::time::timeout(patience, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    let detail = format!("the request was not done within {} s", patience.as_secs_f32());
                    Refusal(Problem::new(Code::HandlerTimeout, detail)).into_response()
                }
            };
            open.answered(&method, response.status(), began.elapsed());
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::{Meter, Watch};

    #[derive(Clone)]
    struct Hangs;

    impl Service<Request> for Hangs {
        type Response = Response;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test]
    async fn a_handler_that_hangs_is_answered_for() {
        let watch = Watch { meter: Meter::new("/x"), patience: Duration::from_millis(5) };
        let mut watched = watch.layer(Hangs);
        let response = watched.call(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 503);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("\"handler_timeout\""), "{body:?}");
        assert_eq!(watch.meter.answered().collect::<Vec<_>>(), [("GET", 503, 1)]);
        assert_eq!(watch.meter.open(), 0);
    }
}
