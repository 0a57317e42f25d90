//! The query of a GET, held to the same rules as a body: nothing unknown, nothing twice.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use stint_api::{Code, DEFAULT_NAMESPACE, PARTITION_MAX, Problem, check_namespace};
use stint_engine::inspect::Wanted;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Type};

use crate::reply::Refusal;
use crate::routes::App;

/// `?namespace=`
pub(crate) struct Namespace(pub(crate) String);

/// `?namespace=&wait_ms=`
pub(crate) struct Wait {
    pub(crate) namespace: String,
    pub(crate) wait_ms: u64,
}

/// No query: `/livez` and other GETs that take no parameters.
pub(crate) struct NoQuery;

/// `?partition=&records=`
pub(crate) struct StoreQuery(pub(crate) Wanted);

/// No query at all, of requests that say everything in their body.
pub(crate) fn refuse(query: Option<&str>) -> Result<(), Problem> {
    match query.map(|query| form_urlencoded::parse(query.as_bytes()).next()) {
        Some(Some((name, _))) => {
            Err(Problem::new(Code::UnknownField, "this request has no query parameters")
                .at(name)
                .remedy("Put the field into the body."))
        }
        _ => Ok(()),
    }
}

impl FromRequestParts<App> for NoQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [] = read(parts.uri.query(), [])?;
        Ok(Self)
    }
}

impl IntoParams for Namespace {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("namespace", Type::String, "Whose it is.")]
    }
}

impl IntoParams for StoreQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("partition", Type::Integer, "Only this partition."),
            parameter("records", Type::Boolean, "Count all records, which reads everything."),
        ]
    }
}

impl IntoParams for Wait {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            parameter("namespace", Type::String, "Whose it is."),
            parameter("wait_ms", Type::Integer, "How long to wait if there is nothing to say yet."),
        ]
    }
}

/// A parameter of a query, for the document; its bounds are those of its name.
pub(crate) fn parameter(name: &str, kind: Type, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .build()
}

impl FromRequestParts<App> for Namespace {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [namespace] = read(parts.uri.query(), ["namespace"])?;
        Ok(Self(namespace_of(namespace)?))
    }
}

impl FromRequestParts<App> for Wait {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [namespace, wait_ms] = read(parts.uri.query(), ["namespace", "wait_ms"])?;
        let wait_ms = match wait_ms {
            None => 0,
            Some(text) => text
                .parse::<u64>()
                .ok()
                .filter(|ms| *ms <= stint_api::WAIT_MS && text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| {
                    Problem::invalid("wait_ms", format!("expected an integer of 0 to {}", stint_api::WAIT_MS))
                })?,
        };
        Ok(Self { namespace: namespace_of(namespace)?, wait_ms })
    }
}

impl FromRequestParts<App> for StoreQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        let [partition, records] = read(parts.uri.query(), ["partition", "records"])?;
        let partition = partition
            .map(|text| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse::<u8>().ok().filter(|number| digits && *number <= PARTITION_MAX);
                let expected = || format!("expected an integer of 0 to {PARTITION_MAX}");
                number.ok_or_else(|| Problem::invalid("partition", expected()))
            })
            .transpose()?;
        let records = match records.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::invalid("records", "expected true or false").into()),
        };
        Ok(Self(Wanted { partition, records }))
    }
}

pub(crate) fn namespace_of(given: Option<String>) -> Result<String, Problem> {
    match given {
        None => Ok(DEFAULT_NAMESPACE.to_owned()),
        Some(namespace) => check_namespace(&namespace).map(|()| namespace),
    }
}

/// The values of the parameters that are known, in the order of their names.
pub(crate) fn read<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    let Some(query) = query else { return Ok(values) };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == name).map(|(_, slot)| slot);
        match slot {
            None => {
                let detail = match names.as_slice() {
                    [] => format!("the parameter `{name}` is not known here, none is"),
                    names => {
                        format!("the parameter `{name}` is not known here, expected {}", names.join(", "))
                    }
                };
                return Err(Problem::new(Code::UnknownField, detail).at(name));
            }
            Some(Some(_)) => {
                return Err(
                    Problem::invalid(name, "the parameter stands there twice").remedy("Keep one of them.")
                );
            }
            Some(slot) => *slot = Some(value.into_owned()),
        }
    }
    Ok(values)
}
