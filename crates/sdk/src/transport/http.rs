//! HTTP/1.1 over kept connections, to one of several servers of the same store.

mod answer;
mod call;
mod money;
mod sse;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, Url};
use stint_api::{Code, Problem};

use super::{ByteStream, EventStream, Reply, Request, SendError, Target, Transport};
use crate::Error;
use call::Call;

/// How long to try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may take beyond what the request itself asks to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a stream may say nothing at all before it is given up: a connection can be dead without a word.
const SILENCE: Duration = Duration::from_secs(60);

/// Reaches one server, or several that share a store.
///
/// It stays with a server for as long as that works. A request that did not reach it, or that it can't serve now,
/// goes to the next one at once; one that got lost on the way is the caller's to send again, under the same key,
/// and goes to the next one then.
///
/// ```
/// use std::sync::Arc;
/// use stint::Client;
/// use stint::transport::HttpTransport;
///
/// # fn main() -> Result<(), stint::Error> {
/// let addresses = ["http://127.0.0.1:7400".to_owned(), "http://127.0.0.1:7401".to_owned()];
/// let second_first = HttpTransport::new(&addresses)?.starting_at(1);
/// let client = Client::builder().transport(Arc::new(second_first)).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
    bases: Vec<Url>,
    /// The address in use.
    at: AtomicUsize,
}

impl HttpTransport {
    /// Addresses such as `http://127.0.0.1:7400`. The first is used first.
    pub fn new(addresses: &[String]) -> Result<Self, Error> {
        let bases: Vec<Url> = addresses.iter().map(|address| base(address)).collect::<Result<_, _>>()?;
        if bases.is_empty() {
            return Err(Error::Configuration("a client needs at least one address".to_owned()));
        }
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Configuration(error.to_string()))?;
        Ok(Self { http, bases, at: AtomicUsize::new(0) })
    }

    /// Uses another address first: a random number spreads clients over servers.
    #[must_use]
    pub fn starting_at(self, number: u64) -> Self {
        let first = number % self.bases.len().max(1) as u64;
        self.at.store(usize::try_from(first).unwrap_or(0), Ordering::Relaxed);
        self
    }

    /// Tries every address once, beginning with the one in use.
    async fn call(&self, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let first = self.at.load(Ordering::Relaxed);
        let mut worst = None;
        for at in (first..first + self.bases.len()).map(|at| at % self.bases.len()) {
            let sent = self.call_at(at, request, key).await;
            match sent {
                Err(error) if is_elsewhere(&error) => worst = Some(worse(worst, error)),
                Err(SendError::Lost(what)) => {
                    // Whoever sends next begins with the next address.
                    self.at.store((at + 1) % self.bases.len(), Ordering::Relaxed);
                    return Err(SendError::Lost(what));
                }
                answer => {
                    self.at.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        self.at.store((first + 1) % self.bases.len(), Ordering::Relaxed);
        Err(worst.unwrap_or_else(|| SendError::Unreachable("no address".to_owned())))
    }

    async fn call_at(&self, at: usize, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let timeout = ANSWER_TIMEOUT + Duration::from_millis(request.wait_ms());
        let mut builder = self.builder(at, Call::of(request))?.timeout(timeout);
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        let response = builder.send().await.map_err(|error| unsent(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| SendError::Lost(cause(&error)))?;
        answer::answer(request, status, &body)
    }

    /// Opens a stream of events at the address in use.
    async fn open(&self, of: &Target, after: Option<&str>) -> Result<EventStream, SendError> {
        let after = after.map(|after| ("last-event-id", after));
        let headers = [Some((ACCEPT.as_str(), "text/event-stream")), after];
        self.stream(Call::follow(of), headers.into_iter().flatten()).await.map(sse::events)
    }

    /// Begins to read a reply that has no end known beforehand, at the address in use.
    async fn stream(
        &self,
        call: Call<'_>,
        headers: impl Iterator<Item = (&str, &str)> + Send,
    ) -> Result<Response, SendError> {
        let at = self.at.load(Ordering::Relaxed);
        let builder = self.builder(at, call)?;
        let builder = headers.fold(builder, |builder, (name, value)| builder.header(name, value));
        let opening = tokio::time::timeout(ANSWER_TIMEOUT, builder.send()).await;
        let opened = match opening {
            Ok(sent) => sent.map_err(|error| unsent(&error)),
            Err(_) => Err(SendError::Lost("no answer in time".to_owned())),
        };
        let error = match opened {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => {
                let status = response.status().as_u16();
                let body = response.bytes().await.map_err(|error| SendError::Lost(cause(&error)))?;
                answer::refusal(status, &body)
            }
            Err(error) => error,
        };
        if error.is_passing() {
            self.at.store((at + 1) % self.bases.len(), Ordering::Relaxed);
        }
        Err(error)
    }

    fn builder(&self, at: usize, call: Call<'_>) -> Result<RequestBuilder, SendError> {
        let Some(base) = self.bases.get(at) else {
            return Err(SendError::Unreachable("no address".to_owned()));
        };
        if let Some(piece) = call.path.iter().find(|piece| is_lost(piece)) {
            let detail = format!("`{piece}` can't stand in an address: it would be another one");
            return Err(SendError::Refused(Problem::new(Code::MalformedId, detail)));
        }
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if let Some(verb) = call.verb {
            let path = format!("{}:{verb}", url.path());
            url.set_path(&path);
        }
        let mut builder = self.http.request(call.method, url);
        if !call.query.is_empty() {
            builder = builder.query(&call.query);
        }
        let Some(body) = call.body else { return Ok(builder) };
        let body = body.map_err(|error| {
            SendError::Refused(Problem::new(Code::InvalidRequest, format!("not written as JSON: {error}")))
        })?;
        Ok(builder.header(CONTENT_TYPE, "application/json").body(body))
    }
}

impl Transport for HttpTransport {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.call(request, key))
    }

    fn follow<'a>(
        &'a self,
        of: &'a Target,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<EventStream, SendError>> {
        Box::pin(self.open(of, after))
    }

    fn backup(&self) -> BoxFuture<'_, Result<ByteStream, SendError>> {
        Box::pin(async { self.stream(Call::backup(), std::iter::empty()).await.map(pieces) })
    }

    fn gathers(&self) -> bool {
        true
    }

    fn asks_everybody(&self) -> bool {
        true
    }
}

/// A reply's body as it comes.
fn pieces(response: Response) -> ByteStream {
    Box::pin(stream::try_unfold(response, async |mut response| {
        match tokio::time::timeout(SILENCE, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|piece| (piece, response))),
            Ok(Err(error)) => Err(SendError::Lost(cause(&error))),
            Err(_) => Err(SendError::Lost("the stream fell silent".to_owned())),
        }
    }))
}

fn base(address: &str) -> Result<Url, Error> {
    let url = Url::parse(address)
        .map_err(|error| Error::Configuration(format!("the address `{address}` is not a URL: {error}")))?;
    if url.scheme() != "http" || url.host_str().is_none() {
        return Err(Error::Configuration(format!("the address `{address}` does not start with http://")));
    }
    Ok(url)
}

/// Whether an address keeps less of a piece of its path than was given: then it may be that of something else, which a DELETE,
/// say, must not reach.
fn is_lost(piece: &str) -> bool {
    matches!(piece, "." | "..") || piece.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Whether another server may serve the same request at once.
fn is_elsewhere(error: &SendError) -> bool {
    match error {
        SendError::Down(_) | SendError::Unreachable(_) => true,
        SendError::Refused(problem) => matches!(problem.code, Code::StoreUnavailable | Code::Draining),
        SendError::Lost(_) | SendError::Garbled(_) => false,
    }
}

/// The error that says least about the servers: only if all are down it is said that they are.
fn worse(before: Option<SendError>, error: SendError) -> SendError {
    let doubt = |error: &SendError| match error {
        SendError::Down(_) => 0,
        error if error.is_outage() => 1,
        _ => 2,
    };
    match before {
        Some(before) if doubt(&before) >= doubt(&error) => before,
        _ => error,
    }
}

fn unsent(error: &reqwest::Error) -> SendError {
    let at = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    if is_refused(error) {
        SendError::Down(format!("nobody listens at {at}"))
    } else if error.is_connect() || error.is_builder() {
        SendError::Unreachable(format!("{at}: {}", cause(error)))
    } else {
        SendError::Lost(cause(error))
    }
}

/// Whether the machine itself answered that nobody listens there.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The innermost cause, which is what the system said: those around it say only that there is one.
fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
