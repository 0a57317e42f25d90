//! The query of a list: whose, how many, from where on.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use stint_api::{LIST_LIMIT, Problem};
use utoipa::IntoParams;
use utoipa::openapi::Type;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::query::{namespace_of, parameter, read};
use crate::reply::Refusal;
use crate::routes::App;

/// `?namespace=&limit=&cursor=`
pub(crate) struct Page {
    pub(crate) namespace: String,
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<String>,
}

/// The same with `attempt`.
pub(crate) struct PageOfAttempt {
    pub(crate) page: Page,
    pub(crate) attempt: Option<u32>,
}

/// `?namespace=&follow=`
pub(crate) struct Follow {
    pub(crate) namespace: String,
    pub(crate) follow: bool,
}

impl FromRequestParts<App> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [namespace, limit, cursor] = read(parts.uri.query(), ["namespace", "limit", "cursor"])?;
        Ok(Self::of(namespace, limit, cursor)?)
    }
}

impl FromRequestParts<App> for PageOfAttempt {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let names = ["namespace", "limit", "cursor", "attempt"];
        let [namespace, limit, cursor, attempt] = read(parts.uri.query(), names)?;
        let attempt = attempt.map(|text| number("attempt", &text, u32::MAX)).transpose()?;
        Ok(Self { page: Page::of(namespace, limit, cursor)?, attempt })
    }
}

impl FromRequestParts<App> for Follow {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [namespace, follow] = read(parts.uri.query(), ["namespace", "follow"])?;
        let follow = match follow.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Problem::invalid("follow", "expected true or false").into()),
        };
        Ok(Self { namespace: namespace_of(namespace)?, follow })
    }
}

impl Page {
    pub(crate) fn of(
        namespace: Option<String>,
        limit: Option<String>,
        cursor: Option<String>,
    ) -> Result<Self, Problem> {
        let limit = limit.map(|text| number("limit", &text, LIST_LIMIT)).transpose()?;
        Ok(Self { namespace: namespace_of(namespace)?, limit, cursor })
    }
}

/// A number from 1 on.
pub(crate) fn number(name: &str, text: &str, most: u32) -> Result<u32, Problem> {
    text.parse::<u32>()
        .ok()
        .filter(|number| (1..=most).contains(number) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| Problem::invalid(name, format!("expected an integer of 1 to {most}")))
}

impl IntoParams for Page {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("namespace", Type::String, "Whose it is."),
            parameter("limit", Type::Integer, "How many entries at most."),
            parameter("cursor", Type::String, "The `next_cursor` of the page before."),
        ]
    }
}

impl IntoParams for PageOfAttempt {
    fn into_params(at: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Page::into_params(at);
        parameters.push(parameter("attempt", Type::Integer, "Only what this attempt wrote, from 1."));
        parameters
    }
}

impl IntoParams for Follow {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("namespace", Type::String, "Whose it is."),
            parameter("follow", Type::Boolean, "`false`: what is kept, as JSON, and no more."),
        ]
    }
}
