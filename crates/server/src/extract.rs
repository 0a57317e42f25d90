//! How a request becomes what a handler takes.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use serde::de::DeserializeOwned;
use stint_api::{Code, Problem, RequestKey, decode};

use crate::body;
use crate::guard::is_from_page;
use crate::query;
use crate::reply::Refusal;
use crate::routes::App;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A POST or PUT with a JSON body.
pub(crate) struct Post<T> {
    pub(crate) request: T,
    pub(crate) key: Option<RequestKey>,
}

/// The same, where a body that is not there means that every field is absent.
pub(crate) struct PostOrEmpty<T>(pub(crate) T);

/// The same, for what may be sent again under its key.
pub(crate) struct KeyedPostOrEmpty<T> {
    pub(crate) request: T,
    pub(crate) key: Option<RequestKey>,
}

/// The only variable part of the path.
pub(crate) struct Segment(pub(crate) String);

/// Both variable parts of the path.
pub(crate) struct Segments(pub(crate) String, pub(crate) String);

impl<T: DeserializeOwned> FromRequest<App> for Post<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let key = check_parts(&parts)?;
        let is_json = is_json(&parts.headers);
        let body = body::read(body, &parts.headers, app).await?;
        if !is_json {
            return Err(unsupported(&parts.headers).into());
        }
        Ok(Self { request: decode(&body)?, key })
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for PostOrEmpty<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Refusal> {
        KeyedPostOrEmpty::from_request(request, app).await.map(|post| Self(post.request))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for KeyedPostOrEmpty<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let key = check_parts(&parts)?;
        let is_json = is_json(&parts.headers);
        let body = body::read(body, &parts.headers, app).await?;
        if body.is_empty() && (is_json || !is_from_page(&parts.headers)) {
            return Ok(Self { request: T::default(), key });
        }
        if !is_json {
            return Err(unsupported(&parts.headers).into());
        }
        Ok(Self { request: decode(&body)?, key })
    }
}

impl FromRequestParts<App> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Path(segment) = Path::from_request_parts(parts, app).await.map_err(|_| not_text())?;
        Ok(Self(segment))
    }
}

impl FromRequestParts<App> for Segments {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Path((first, second)) = Path::from_request_parts(parts, app).await.map_err(|_| not_text())?;
        Ok(Self(first, second))
    }
}

fn check_parts(parts: &Parts) -> Result<Option<RequestKey>, Problem> {
    query::refuse(parts.uri.query())?;
    let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::invalid("Idempotency-Key", "the header stands there twice"));
    }
    // What is no text fails as an empty key does, with the rule in the detail.
    RequestKey::parse(key.to_str().unwrap_or_default()).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    if value.as_bytes() == b"application/json" {
        return true;
    }
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind
            .split_once('/')
            .is_some_and(|(top, sub)| top.eq_ignore_ascii_case("application") && sub.ends_with("+json"))
}

fn unsupported(headers: &HeaderMap) -> Problem {
    let detail = match headers.get(CONTENT_TYPE).map(|value| value.to_str()) {
        None => "the request has no Content-Type".to_owned(),
        Some(Ok(found)) => format!("the Content-Type is `{found}`"),
        Some(Err(_)) => "the Content-Type is not text".to_owned(),
    };
    Problem::new(Code::UnsupportedMediaType, detail).at("Content-Type")
}

fn not_text() -> Problem {
    Problem::new(Code::MalformedId, "a part of the path is not UTF-8 text")
}
