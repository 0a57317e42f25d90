//! HTTP/1.1 over kept connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stint_api::{Code, LaneRequest, Problem};

use super::{Action, LaneAction, Reply, Request, SendError, Target, Transport};
use crate::Error;

/// How long to try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may take beyond what the request itself asks to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Reaches one server, or several that share a store: the next one is tried when one fails.
#[derive(Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
    bases: Vec<Url>,
    turn: AtomicUsize,
}

/// Where and how a request goes.
struct Call<'a> {
    method: Method,
    /// Segments below the base; each is escaped.
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Result<Vec<u8>, serde_json::Error>>,
}

impl HttpTransport {
    /// Addresses such as `http://127.0.0.1:7400`.
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
        Ok(Self { http, bases, turn: AtomicUsize::new(0) })
    }

    async fn call(&self, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let turn = self.turn.load(Ordering::Relaxed);
        let sent = self.call_at(turn, request, key).await;
        if sent.as_ref().is_err_and(SendError::is_passing) {
            // Whoever sends next tries the next address; a race only skips one.
            let _ =
                self.turn.compare_exchange(turn, turn.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        }
        sent
    }

    async fn call_at(&self, turn: usize, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let call = Call::of(request);
        let Some(base) = self.bases.get(turn % self.bases.len()) else {
            return Err(SendError::Unreachable("no address".to_owned()));
        };
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        let timeout = ANSWER_TIMEOUT + Duration::from_millis(request.wait_ms());
        let mut builder = self.http.request(call.method, url).timeout(timeout);
        if !call.query.is_empty() {
            builder = builder.query(&call.query);
        }
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(body) = call.body {
            let body = body.map_err(|error| {
                SendError::Refused(Problem::new(
                    Code::InvalidRequest,
                    format!("not written as JSON: {error}"),
                ))
            })?;
            builder = builder.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = builder.send().await.map_err(|error| unsent(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| SendError::Lost(chain(&error)))?;
        if (200..300).contains(&status) { reply(request, &body) } else { Err(refusal(status, &body)) }
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
}

impl<'a> Call<'a> {
    fn post(path: Vec<&'a str>, body: &impl Serialize) -> Self {
        Self { method: Method::POST, path, query: Vec::new(), body: Some(serde_json::to_vec(body)) }
    }

    fn get(path: Vec<&'a str>, namespace: &str) -> Self {
        let query =
            if namespace == "default" { Vec::new() } else { vec![("namespace", namespace.to_owned())] };
        Self { method: Method::GET, path, query, body: None }
    }

    fn of(request: &'a Request) -> Self {
        match request {
            Request::Submit(body) => Self::post(vec!["v1", "executions"], body),
            Request::SubmitBatch(body) => Self::post(vec!["v1", "executions", "batch"], body),
            Request::Execution(of) => Self::get(vec!["v1", "executions", &of.name], &of.namespace),
            Request::Result { of, wait_ms } => {
                let mut call = Self::get(vec!["v1", "executions", &of.name, "result"], &of.namespace);
                call.query.push(("wait_ms", wait_ms.to_string()));
                call
            }
            Request::Why(of) => Self::get(vec!["v1", "executions", &of.name, "why"], &of.namespace),
            Request::Cancel(id, body) => Self::post(vec!["v1", "executions", id, "cancel"], body),
            Request::Replay(id, body) => Self::post(vec!["v1", "executions", id, "replay"], body),
            Request::SetPriority(id, body) => Self::post(vec!["v1", "executions", id, "priority"], body),
            Request::Act(action, id, body) => Self::post(vec!["v1", "executions", id, action.verb()], body),
            Request::Lane(of) => Self::get(vec!["v1", "lanes", &of.name], &of.namespace),
            Request::SetLane(name, body) => {
                Self { method: Method::PUT, ..Self::post(vec!["v1", "lanes", name], body) }
            }
            Request::ActOnLane(action, Target { namespace, name }) => Self::post(
                vec!["v1", "lanes", name, action.verb()],
                &LaneRequest { namespace: Some(namespace.clone()) },
            ),
            Request::Lease(body) => Self::post(vec!["v1", "leases"], body),
            Request::Heartbeat(lease, body) => Self::post(vec!["v1", "leases", lease, "heartbeat"], body),
            Request::Complete(lease, body) => Self::post(vec!["v1", "leases", lease, "complete"], body),
            Request::Fail(lease, body) => Self::post(vec!["v1", "leases", lease, "fail"], body),
            Request::Release(lease, body) => Self::post(vec!["v1", "leases", lease, "release"], body),
            Request::BeginStep(lease, body) => Self::post(vec!["v1", "leases", lease, "steps"], body),
            Request::RecordStep { lease, key, request } => {
                Self::post(vec!["v1", "leases", lease, "steps", key, "result"], request)
            }
            Request::Exchange(body) => Self::post(vec!["v1", "worker", "exchange"], body),
            Request::Workers { namespace } => Self::get(vec!["v1", "workers"], namespace),
            Request::Ready => Self::get(vec!["readyz"], "default"),
        }
    }
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Revoke => "revoke",
        }
    }
}

impl LaneAction {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
        }
    }
}

fn base(address: &str) -> Result<Url, Error> {
    let url = Url::parse(address)
        .map_err(|error| Error::Configuration(format!("the address `{address}` is not a URL: {error}")))?;
    if url.scheme() != "http" || url.host_str().is_none() {
        return Err(Error::Configuration(format!("the address `{address}` does not start with http://")));
    }
    Ok(url)
}

fn unsent(error: &reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::Unreachable(chain(error))
    } else {
        SendError::Lost(chain(error))
    }
}

/// The error and its causes: reqwest's own text leaves the causes out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn refusal(status: u16, body: &[u8]) -> SendError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => SendError::Refused(problem),
        // Something in between answered: a proxy that is up while the server is not.
        Err(_) if status >= 500 => SendError::Lost(format!("status {status} without a problem document")),
        Err(_) => SendError::Garbled(format!("status {status} without a problem document")),
    }
}

fn reply(request: &Request, body: &[u8]) -> Result<Reply, SendError> {
    Ok(match request {
        Request::Submit(_) => Reply::Submitted(read(body)?),
        Request::SubmitBatch(_) => Reply::Batch(read(body)?),
        Request::Execution(_) => Reply::Execution(read(body)?),
        Request::Result { .. } => Reply::Result(read(body)?),
        Request::Why(_) => Reply::Why(read(body)?),
        Request::Cancel(..) | Request::Replay(..) | Request::SetPriority(..) | Request::Act(..) => {
            Reply::Acted(read(body)?)
        }
        Request::Lane(_) => Reply::Lane(read(body)?),
        Request::SetLane(..) | Request::ActOnLane(..) => Reply::LaneChanged(read(body)?),
        Request::Lease(_) => Reply::Leases(read(body)?),
        Request::Heartbeat(..) => Reply::Heartbeat(read(body)?),
        Request::Complete(..) | Request::Fail(..) | Request::Release(..) | Request::RecordStep { .. } => {
            Reply::Ended(read(body)?)
        }
        Request::BeginStep(..) => Reply::Step(read(body)?),
        Request::Exchange(_) => Reply::Exchange(read(body)?),
        Request::Workers { .. } => Reply::Workers(read(body)?),
        Request::Ready => Reply::Ready(read(body)?),
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, SendError> {
    serde_json::from_slice(body).map_err(|error| SendError::Garbled(error.to_string()))
}
