//! An error as an RFC 9457 problem document.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Code, Shortfall};

/// What went wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What clients decide by.
    pub code: Code,
    /// What happened this time.
    pub detail: Cow<'static, str>,
    /// The field of the request that is to blame, as a path: `executions[3].retry.max_attempts`.
    pub field: Option<String>,
    /// What to do, where it is more than the code's own remedy.
    pub remedy: Option<Box<Cow<'static, str>>>,
    /// When to try again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// Which limit is in the way: members of their own in the document.
    pub shortfall: Option<Box<Shortfall>>,
}

impl Problem {
    /// A problem of this code; `detail` says what happened this time.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None, remedy: None, retry_after_ms: None, shortfall: None }
    }

    /// An `invalid_field` problem about `field`.
    pub fn invalid(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidField, detail).at(field)
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(Box::new(remedy.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Says which limit is in the way.
    #[must_use]
    pub fn shortfall(mut self, shortfall: Shortfall) -> Self {
        self.shortfall = Some(Box::new(shortfall));
        self
    }

    /// Puts the field below `outer`: `priority` within `executions[3]` is `executions[3].priority`.
    #[must_use]
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.field = Some(match self.field {
            Some(inner) if inner.starts_with('[') => format!("{outer}{inner}"),
            Some(inner) => format!("{outer}.{inner}"),
            None => outer.to_string(),
        });
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// What to do about it.
    pub fn remedy_text(&self) -> &str {
        self.remedy.as_ref().map_or_else(|| self.code.remedy(), |text| text.as_ref().as_ref())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        if let Some(field) = &self.field {
            write!(f, " (field `{field}`)")?;
        }
        write!(f, ". {}", self.remedy_text())
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &TypeUri(self.code))?;
        map.serialize_entry("title", self.code.title())?;
        map.serialize_entry("status", &self.code.status())?;
        map.serialize_entry("code", self.code.as_str())?;
        map.serialize_entry("detail", &self.detail)?;
        if let Some(field) = &self.field {
            map.serialize_entry("field", field)?;
        }
        map.serialize_entry("remedy", self.remedy_text())?;
        if let Some(ms) = self.retry_after_ms {
            map.serialize_entry("retry_after_ms", &ms)?;
        }
        if let Some(shortfall) = &self.shortfall {
            let Shortfall { path, window, dimension, limit, used, held, missing, resets_at } = &**shortfall;
            map.serialize_entry("path", path)?;
            map.serialize_entry("window", window)?;
            map.serialize_entry("dimension", dimension)?;
            for (name, amount) in [("limit", limit), ("used", used), ("held", held), ("missing", missing)] {
                map.serialize_entry(name, amount)?;
            }
            if let Some(resets_at) = resets_at {
                map.serialize_entry("resets_at", resets_at)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ProblemDocument::deserialize(deserializer)?;
        let known = Code::parse(&read.code);
        // A newer server may have codes this build has not: its status says whose fault it is.
        let code = known.unwrap_or(match read.status {
            400..=499 => Code::InvalidRequest,
            _ => Code::Internal,
        });
        let detail = match known {
            Some(_) => read.detail,
            None => format!("{}: {}", read.code, read.detail),
        };
        Ok(Self {
            code,
            detail: detail.into(),
            field: read.field,
            remedy: read.remedy.filter(|text| text != code.remedy()).map(|text| Box::new(Cow::Owned(text))),
            retry_after_ms: read.retry_after_ms,
            shortfall: read.shortfall.map(Box::new),
        })
    }
}

#[derive(Deserialize)]
struct ProblemDocument {
    code: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    field: Option<String>,
    remedy: Option<String>,
    retry_after_ms: Option<u64>,
    #[serde(flatten)]
    shortfall: Option<Shortfall>,
}

struct TypeUri(Code);

impl Serialize for TypeUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:stint:error:{}", self.0))
    }
}
