//! Inputs, outputs and step results: any JSON, or bytes with a content type.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{CONTENT_TYPE_BYTES, Code, Limits, Problem};

/// Opaque data of the user. JSON is kept as the text that was sent and never parsed; bytes travel as
/// `{"$bytes": "<base64>", "content_type": "..."}`.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A JSON document, as it was sent.
    Json(Box<RawValue>),
    /// Bytes.
    Bytes {
        /// The bytes themselves.
        bytes: Bytes,
        /// What they are.
        content_type: String,
    },
}

impl Payload {
    /// JSON `null`, which is also what an absent payload means.
    pub fn null() -> Self {
        Self::Json(RawValue::NULL.to_owned())
    }

    /// The JSON of `value`.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::Json)
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Bytes>, content_type: impl Into<String>) -> Self {
        Self::Bytes { bytes: bytes.into(), content_type: content_type.into() }
    }

    /// Reads JSON into a type. Bytes are an error.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self {
            Self::Json(json) => serde_json::from_str(json.get()),
            Self::Bytes { content_type, .. } => {
                Err(serde_json::Error::custom(format!("expected JSON, found bytes of type {content_type}")))
            }
        }
    }

    /// What counts against the payload limit: the JSON text, or the bytes before base64.
    pub fn size(&self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Bytes { bytes, .. } => bytes.len(),
        }
    }

    /// Checks the size; `field` is the payload's name in the request.
    pub fn validate(&self, field: &str, limits: &Limits) -> Result<(), Problem> {
        let (size, limit) = (self.size(), limits.payload_bytes);
        if size > limit {
            let detail = format!("`{field}` is {size} bytes long, the limit is {limit} bytes");
            return Err(Problem::new(Code::PayloadTooLarge, detail).at(field));
        }
        match self {
            Self::Bytes { content_type, .. } if !is_content_type(content_type) => Err(Problem::invalid(
                format!("{field}.content_type"),
                "a content type is `type/subtype` in at most 255 ASCII characters",
            )),
            _ => Ok(()),
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (
                Self::Bytes { bytes: a, content_type: a_type },
                Self::Bytes { bytes: b, content_type: b_type },
            ) => a == b && a_type == b_type,
            _ => false,
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => json.serialize(serializer),
            Self::Bytes { bytes, content_type } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry(BYTES, &Base64(bytes))?;
                map.serialize_entry(CONTENT_TYPE, content_type)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        if !may_be_bytes(json.get()) {
            return Ok(Self::Json(json));
        }
        let found = serde_json::from_str::<BytesForm<'_>>(json.get()).map_err(D::Error::custom)?;
        let Some(base64) = found.bytes else { return Ok(Self::Json(json)) };
        if let Some(key) = found.twice {
            return Err(D::Error::custom(format!("at `{key}`: the key stands there twice")));
        }
        let bytes = serde_json::from_str::<Cow<'_, str>>(base64.get())
            .ok()
            .and_then(|text| STANDARD.decode(text.as_bytes()).ok())
            .ok_or_else(|| D::Error::custom("at `$bytes`: expected a string of padded standard base64"))?;
        let content_type = match found.content_type {
            Some(raw) => serde_json::from_str::<String>(raw.get()).ok().filter(|text| is_content_type(text)),
            None => None,
        };
        let content_type = content_type.ok_or_else(|| {
            D::Error::custom("at `content_type`: bytes need a content type, such as application/octet-stream")
        })?;
        if let Some(key) = found.other {
            return Err(D::Error::custom(format!(
                "at `{key}`: bytes are written as {{\"$bytes\", \"content_type\"}} and nothing else"
            )));
        }
        Ok(Self::Bytes { bytes: bytes.into(), content_type })
    }
}

const BYTES: &str = "$bytes";
const CONTENT_TYPE: &str = "content_type";

/// Whether a look at the document's own keys is needed. A key may hide behind `\u` escapes.
fn may_be_bytes(json: &str) -> bool {
    json.starts_with('{') && (json.contains(BYTES) || json.contains("\\u"))
}

fn is_content_type(text: &str) -> bool {
    text.len() <= CONTENT_TYPE_BYTES
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.split_once('/').is_some_and(|(kind, sub)| !kind.trim().is_empty() && !sub.trim().is_empty())
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(self.0, &STANDARD))
    }
}

/// The keys of a document's top level that decide whether it is bytes.
struct BytesForm<'a> {
    bytes: Option<&'a RawValue>,
    content_type: Option<&'a RawValue>,
    other: Option<Cow<'a, str>>,
    twice: Option<&'static str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for BytesForm<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = BytesForm<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut form = BytesForm { bytes: None, content_type: None, other: None, twice: None };
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let value = map.next_value::<&'de RawValue>()?;
                    match key.as_ref() {
                        BYTES => form.twice = form.bytes.replace(value).map_or(form.twice, |_| Some(BYTES)),
                        CONTENT_TYPE => {
                            let before = form.content_type.replace(value);
                            form.twice = before.map_or(form.twice, |_| Some(CONTENT_TYPE));
                        }
                        _ => form.other = Some(key),
                    }
                }
                Ok(form)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
