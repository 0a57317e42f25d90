//! How the types look in an OpenAPI document. Most derive it; here are those that are read and written by hand, and
//! the bounds of all of them.
//!
//! Behind the feature `openapi`, so that who only speaks the API compiles none of it.

mod bounds;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::exchange::{ExchangeAnswerForm, ExchangeResultForm};
use crate::step::StepReplyForm;
use crate::{
    AMOUNT_MAX, Amounts, Code, DIMENSIONS, ExchangeAnswer, ExchangeResult, Instant, Payload, Problem,
    SoftLimit, StepReply, Thousandths,
};

pub use bounds::{bounds, merge};

/// Names and schemas of what a schema refers to.
type Named = Vec<(String, RefOr<Schema>)>;

/// A type whose schema is that of the form it is read by.
macro_rules! read_by {
    ($($type:ident by $form:ident),*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $form::schema()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }

            fn schemas(schemas: &mut Named) {
                $form::schemas(schemas);
            }
        }
    )*};
}

read_by!(StepReply by StepReplyForm, ExchangeResult by ExchangeResultForm, ExchangeAnswer by ExchangeAnswerForm);

impl PartialSchema for Payload {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "Any JSON, kept as the text that was sent; or bytes, as an object of exactly `$bytes` (padded standard \
                 base64) and `content_type`. At most 1 MiB, of JSON text or of bytes before base64, unless the server \
                 is set up otherwise.",
            ))
            .examples([
                json!({"url": "https://example.com/a.png"}),
                json!({"$bytes": "aGVsbG8=", "content_type": "text/plain"}),
                json!(null),
            ])
            .into()
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some(
                "RFC 3339. Written in UTC with milliseconds; read with any offset, digits below a millisecond are dropped.",
            ))
            .examples([json!("2026-11-23T11:00:00.000Z")])
            .into()
    }
}

impl PartialSchema for Thousandths {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(0))
            .description(Some("With at most three decimals and no exponent: it is read exactly."))
            .examples([json!(1.5)])
            .into()
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Code::ALL.iter().map(|code| code.as_str())))
            .description(Some(
                "Stable: programs decide by it. Later versions may add codes; the status says whose fault they are.",
            ))
            .into()
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build()
        };
        let integer = |description: &str| {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(0))
                .description(Some(description))
                .build()
        };
        ObjectBuilder::new()
            .description(Some(
                "What went wrong, where, and what to do about it: an RFC 9457 problem document.",
            ))
            .property("type", text("`urn:stint:error:` and the code."))
            .property("title", text("The same for every problem of this code."))
            .property("status", integer("The HTTP status."))
            .property("code", utoipa::openapi::Ref::from_schema_name("Code"))
            .property("detail", text("What happened this time, for people."))
            .property("field", text("The field of the request that is to blame, as a path."))
            .property("remedy", text("What to do about it."))
            .property("retry_after_ms", integer("When to try again, if the server knows."))
            .property(
                "path",
                text("Of `budget_exhausted` and `hold_too_large`: the budget whose limit is in the way."),
            )
            .property("window", text("Its window."))
            .property("dimension", text("The dimension."))
            .property("limit", integer("The hard limit, top-ups included."))
            .property("used", integer("Used in the present period."))
            .property("held", integer("Held."))
            .property("missing", integer("What would have to become free."))
            .property("resets_at", Instant::schema())
            .required("type")
            .required("title")
            .required("status")
            .required("code")
            .required("detail")
            .required("remedy")
            .examples([json!(Problem::invalid("priority", "101 is out of range, expected -100 to 100"))])
            .into()
    }
}

impl PartialSchema for Amounts {
    fn schema() -> RefOr<Schema> {
        let amount = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            // 2^53 - 1, which a float holds exactly.
            .maximum(Some(AMOUNT_MAX as f64))
            .build();
        ObjectBuilder::new()
            .additional_properties(Some(RefOr::<Schema>::from(amount)))
            .max_properties(Some(DIMENSIONS))
            .description(Some(
                "Whole numbers by dimension: `usd_micros`, `input_tokens`, `output_tokens`, `calls`, or any other name of \
                 a-z 0-9 _ . -",
            ))
            .examples([json!({"usd_micros": 12_500, "calls": 1})])
            .into()
    }
}

impl PartialSchema for SoftLimit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Array(vec![Type::Integer, Type::String]))
            .minimum(Some(0))
            .maximum(Some(AMOUNT_MAX as f64))
            .pattern(Some("^[1-9][0-9]{0,2}%$"))
            .description(Some("An amount, or a part of the hard limit: \"80%\"."))
            .examples([json!("80%"), json!(400_000)])
            .into()
    }
}

impl ToSchema for Amounts {}
impl ToSchema for SoftLimit {}
impl ToSchema for Payload {}
impl ToSchema for Instant {}
impl ToSchema for Thousandths {}
impl ToSchema for Code {}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Named) {
        schemas.push((Code::name().into_owned(), Code::schema()));
    }
}
