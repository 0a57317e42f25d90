//! What goes back: JSON, or a problem document.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stint_api::{Class, Code, Problem};
use tracing::error;

/// A JSON reply with its status.
pub(crate) struct Reply<T>(pub(crate) StatusCode, pub(crate) T);

/// A problem as a reply.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

/// What handlers give.
pub(crate) type Answer<T> = Result<Reply<T>, Refusal>;

/// A reply with status 200.
pub(crate) fn ok<T>(result: Result<T, Problem>) -> Answer<T> {
    result.map(|value| Reply(StatusCode::OK, value)).map_err(Refusal)
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match write(&self.1) {
            Ok(json) => response(self.0, HeaderValue::from_static("application/json"), json),
            Err(cause) => {
                error!(%cause, "a reply could not be written");
                Refusal(Problem::new(Code::Internal, "the reply could not be written")).into_response()
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is strings and numbers: writing it can't fail.
        let json = write(&problem).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = response(status, kind, json);
        if let Some(seconds) = retry_after(&problem) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn response(status: StatusCode, kind: HeaderValue, json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    // Most replies are shorter; longer ones double it a few times.
    const ROOM: usize = 512;
    let mut json = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut json, value)?;
    Ok(json)
}

/// In whole seconds, at least one, wherever waiting helps.
fn retry_after(problem: &Problem) -> Option<u64> {
    match problem.retry_after_ms {
        Some(ms) => Some(ms.div_ceil(1_000).max(1)),
        None if problem.code.class() == Class::Retryable || problem.code == Code::StoreUnavailable => Some(1),
        None => None,
    }
}
