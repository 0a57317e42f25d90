//! A provider of a language model that is none: a real HTTP server which answers in the shape of OpenAI, counts tokens,
//! and keeps its own bill, so that what Stint says was spent can be held against what somebody charged.
//!
//! It charges as providers do: when it begins to work, whether or not anybody waits for the answer. Called again with the
//! same `Idempotency-Key`, it gives the same answer and charges nothing.

mod answer;
mod bill;
mod command;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock;
use answer::Request;
use bill::{Bill, BillError, Total};

pub(crate) use command::{Args, run};

/// The one model it has.
pub(super) const MODEL: &str = "stand-in-1";

/// What the model costs.
pub(super) const PRICE: Price =
    Price { input: 5_000_000, cached_input: 500_000, output: 25_000_000, call: 100 };

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES: usize = 255;

/// In `usd_micros`: for 1,000,000 tokens, and for a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) input: u64,
    pub(super) cached_input: u64,
    pub(super) output: u64,
    pub(super) call: u64,
}

/// How to run one.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Where to listen; port 0 takes any free one.
    pub(super) listen: SocketAddr,
    /// Where the bill is kept; one that is there already is continued.
    pub(super) bill: PathBuf,
    /// How long an answer takes.
    pub(super) latency: Duration,
}

/// A provider that answers until it is dropped.
#[derive(Debug)]
pub(super) struct Provider {
    address: SocketAddr,
    desk: Arc<Desk>,
    _stop: oneshot::Sender<()>,
}

/// What all calls share.
#[derive(Debug)]
struct Desk {
    bill: Mutex<Bill>,
    latency: Duration,
}

/// A refusal, in the shape of OpenAI.
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Provider {
    /// Begins to answer.
    pub(super) async fn start(config: Config) -> Result<Self> {
        let bill = Bill::open(&config.bill).with_context(|| format!("the bill {}", config.bill.display()))?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.local_addr().context("the address listened on is not known")?;
        let desk = Arc::new(Desk { bill: Mutex::new(bill), latency: config.latency });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/bill", get(show_bill))
            .with_state(Arc::clone(&desk));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            // It ends with an error only if it can't listen any more, and then every call says so.
            let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        });
        Ok(Self { address, desk, _stop: stop })
    }

    /// Where it answers.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has charged until now.
    pub(super) fn total(&self) -> Total {
        self.desk.bill().total()
    }

    /// Whether it has charged the call that was made under this key.
    pub(super) fn has_charged(&self, key: &str) -> bool {
        self.desk.bill().has(key)
    }

    /// What each call has cost, by the id of its answer.
    pub(super) fn costs(&self) -> Vec<(String, u64)> {
        self.desk.bill().costs()
    }
}

impl Desk {
    /// A call that panicked leaves a bill that is still right: entries are added whole.
    fn bill(&self) -> MutexGuard<'_, Bill> {
        self.bill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn complete(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let key = key(&headers)?;
    let request = Request::read(&body).map_err(|message| Refused::invalid("invalid_request", message))?;
    if request.model != MODEL {
        let message = format!("the model `{}` does not exist; there is `{MODEL}`", request.model);
        return Err(Refused { status: StatusCode::NOT_FOUND, code: "model_not_found", message });
    }
    let entry = desk.bill().charge(key, &request, clock::now().millis() / 1_000)?;
    tokio::time::sleep(desk.latency).await;
    Ok(Json(answer::completion(&entry)).into_response())
}

async fn show_bill(State(desk): State<Arc<Desk>>) -> Response {
    Json(desk.bill().document()).into_response()
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let message = format!("`Idempotency-Key` has 1 to {KEY_BYTES} characters of ASCII");
            Err(Refused::invalid("invalid_idempotency_key", message))
        }
    }
}

impl Refused {
    fn invalid(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }
}

impl From<BillError> for Refused {
    fn from(error: BillError) -> Self {
        let (status, code) = match error {
            BillError::OtherRequest => (StatusCode::CONFLICT, "idempotency_conflict"),
            BillError::File(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        Self { status, code, message: error.to_string() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let kind = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let error = json!({"message": self.message, "type": kind, "param": null, "code": self.code});
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

#[cfg(test)]
mod tests;
