//! The query of a list or a count: a filter, a namespace, and for a list its page.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use stint_api::{Code, CountRequest, ExecutionFilter, LIST_LIMIT, ListRequest, Problem};
use utoipa::IntoParams;
use utoipa::openapi::Type;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::page::number;
use crate::query::parameter;
use crate::reply::Refusal;
use crate::routes::App;

/// The query of `GET executions`.
pub(crate) struct List(pub(crate) ListRequest);

/// The query of `GET executions/count`.
pub(crate) struct Count(pub(crate) CountRequest);

/// What a count knows; a list knows `limit` and `cursor`, too.
const KNOWN: &str = "state, lane, kind, tag.KEY, error_type, since, until, namespace";

impl FromRequestParts<App> for List {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let mut page = [("limit", None), ("cursor", None), ("namespace", None)];
        let filter = read(parts.uri.query(), &mut page)?;
        let [(_, limit), (_, cursor), (_, namespace)] = page;
        let limit = limit.map(|text| number("limit", &text, LIST_LIMIT)).transpose()?;
        Ok(Self(ListRequest { filter, limit, cursor, namespace }))
    }
}

impl FromRequestParts<App> for Count {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let mut others = [("namespace", None)];
        let filter = read(parts.uri.query(), &mut others)?;
        let [(_, namespace)] = others;
        Ok(Self(CountRequest { filter, namespace }))
    }
}

impl IntoParams for Count {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let state = "In this state. `ready` is only what nothing holds back; the rest is `blocked`.";
        vec![
            parameter("state", Type::String, state),
            parameter("lane", Type::String, "In this lane."),
            parameter("kind", Type::String, "Of this kind."),
            parameter(
                "tag.KEY",
                Type::String,
                "With this tag; KEY is the tag's key, each with a parameter of its own.",
            ),
            parameter("error_type", Type::String, "Ended with an error of this type."),
            parameter(
                "since",
                Type::String,
                "Not before this instant: the end of what has ended, else the submission.",
            ),
            parameter("until", Type::String, "Before this instant, likewise."),
            parameter("namespace", Type::String, "Whose they are."),
        ]
    }
}

impl IntoParams for List {
    fn into_params(of: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Count::into_params(of);
        parameters.push(parameter("limit", Type::Integer, "How many at most."));
        parameters.push(parameter(
            "cursor",
            Type::String,
            "Where to go on, as `next_cursor` of the page before said.",
        ));
        parameters
    }
}

/// The filter, and the values of the other parameters that are known.
fn read(query: Option<&str>, others: &mut [(&str, Option<String>)]) -> Result<ExecutionFilter, Problem> {
    let mut filter = ExecutionFilter::default();
    let query = query.unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Some(_))) => {
                let twice = Problem::invalid(name, "the parameter stands there twice");
                return Err(twice.remedy("Keep one of them."));
            }
            Some((_, slot)) => *slot = Some(value.into_owned()),
            None if filter.take(&name, &value)? => {}
            None => {
                let page = if others.len() > 1 { ", limit, cursor" } else { "" };
                let detail = format!("the parameter `{name}` is not known here, expected {KNOWN}{page}");
                return Err(Problem::new(Code::UnknownField, detail).at(name));
            }
        }
    }
    Ok(filter)
}
