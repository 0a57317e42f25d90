//! The queries of budgets.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use stint_api::{
    Instant, LIST_LIMIT, LedgerKind, LedgerRequest, Problem, ReportBy, ReportEvery, ReportRequest,
};
use utoipa::IntoParams;
use utoipa::openapi::Type;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::page::{Page, number};
use crate::query::{namespace_of, parameter, read};
use crate::reply::Refusal;
use crate::routes::App;

/// `?namespace=&force=`
pub(crate) struct Force {
    pub(crate) namespace: String,
    pub(crate) force: bool,
}

/// `?namespace=&under=&limit=&cursor=`
pub(crate) struct Under {
    pub(crate) page: Page,
    pub(crate) under: Option<String>,
}

/// The query of a ledger.
pub(crate) struct Ledger {
    pub(crate) namespace: String,
    pub(crate) request: LedgerRequest,
    pub(crate) format: Option<Format>,
}

/// The query of a report.
pub(crate) struct Report {
    pub(crate) namespace: String,
    pub(crate) request: ReportRequest,
}

/// How a ledger is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Csv,
}

impl FromRequestParts<App> for Force {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [namespace, force] = read(parts.uri.query(), ["namespace", "force"])?;
        let force = one_of("force", force, &[("false", false), ("true", true)])?.unwrap_or(false);
        Ok(Self { namespace: namespace_of(namespace)?, force })
    }
}

impl FromRequestParts<App> for Under {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let names = ["namespace", "limit", "cursor", "under"];
        let [namespace, limit, cursor, under] = read(parts.uri.query(), names)?;
        Ok(Self { page: Page::of(namespace, limit, cursor)?, under })
    }
}

impl FromRequestParts<App> for Ledger {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let names = [
            "namespace",
            "kind",
            "execution",
            "model",
            "since",
            "until",
            "order",
            "limit",
            "cursor",
            "format",
        ];
        let [namespace, kind, execution, model, since, until, order, limit, cursor, format] =
            read(parts.uri.query(), names)?;
        let kinds: Vec<(&str, LedgerKind)> =
            LedgerKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
        let formats = [("json", Format::Json), ("ndjson", Format::Ndjson), ("csv", Format::Csv)];
        let mut wanted = Vec::new();
        for kind in kind.iter().flat_map(|kind| kind.split(',')) {
            wanted.extend(one_of("kind", Some(kind.to_owned()), &kinds)?);
        }
        let request = LedgerRequest {
            kinds: wanted,
            execution,
            model,
            since: instant("since", since)?,
            until: instant("until", until)?,
            newest_first: one_of("order", order, &[("asc", false), ("desc", true)])?.unwrap_or(false),
            limit: limit.map(|text| number("limit", &text, LIST_LIMIT)).transpose()?,
            cursor,
        };
        Ok(Self { namespace: namespace_of(namespace)?, request, format: one_of("format", format, &formats)? })
    }
}

impl FromRequestParts<App> for Report {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let names = ["namespace", "by", "since", "until", "every"];
        let [namespace, by, since, until, every] = read(parts.uri.query(), names)?;
        let request = ReportRequest {
            by: by.map(|by| report_by(&by)).transpose()?,
            since: instant("since", since)?,
            until: instant("until", until)?,
            every: one_of("every", every, &[("hour", ReportEvery::Hour), ("day", ReportEvery::Day)])?,
        };
        Ok(Self { namespace: namespace_of(namespace)?, request })
    }
}

fn report_by(text: &str) -> Result<ReportBy, Problem> {
    match text {
        "path" => Ok(ReportBy::Path),
        "kind" => Ok(ReportBy::Kind),
        "execution" => Ok(ReportBy::Execution),
        "model" => Ok(ReportBy::Model),
        _ => match text.strip_prefix("tag.").filter(|key| !key.is_empty()) {
            Some(key) => Ok(ReportBy::Tag(key.to_owned())),
            None => Err(Problem::invalid("by", "expected path, kind, execution, model or tag.KEY")),
        },
    }
}

fn instant(name: &str, text: Option<String>) -> Result<Option<Instant>, Problem> {
    let parsed = text.map(|text| text.parse::<Instant>()).transpose();
    parsed.map_err(|error| Problem::invalid(name, error.to_string()))
}

fn one_of<T: Copy>(name: &str, text: Option<String>, known: &[(&str, T)]) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match known.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            Err(Problem::invalid(name, format!("expected one of {}", names.join(", "))))
        }
    }
}

impl IntoParams for Force {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("namespace", Type::String, "Whose it is."),
            parameter("force", Type::Boolean, "Although money is held under it."),
        ]
    }
}

impl IntoParams for Under {
    fn into_params(at: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Page::into_params(at);
        parameters.push(parameter("under", Type::String, "Only this budget and all below it."));
        parameters
    }
}

impl IntoParams for Ledger {
    fn into_params(at: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Page::into_params(at);
        parameters.extend([
            parameter("kind", Type::String, "Only entries of this kind."),
            parameter("execution", Type::String, "Only of this execution."),
            parameter("model", Type::String, "Only of this model."),
            parameter("since", Type::String, "Recorded at this instant or later."),
            parameter("until", Type::String, "Recorded before this instant."),
            parameter("order", Type::String, "`desc`: newest first."),
            parameter("format", Type::String, "`ndjson` and `csv` are streams of all entries."),
        ]);
        parameters
    }
}

impl IntoParams for Report {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("namespace", Type::String, "Whose it is."),
            parameter(
                "by",
                Type::String,
                "What rows are made by: `path` unless given; `tag.KEY` is a tag's value.",
            ),
            parameter("since", Type::String, "Recorded at this instant or later."),
            parameter("until", Type::String, "Recorded before this instant."),
            parameter("every", Type::String, "Rows for every hour or day, in UTC."),
        ]
    }
}
