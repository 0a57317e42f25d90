//! How a handler says that it failed.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A handler's failure. Any `std::error::Error` turns into one by `?`, with type `error`.
///
/// ```
/// use stint::Failure;
/// use std::time::Duration;
///
/// let busy = Failure::new("rate_limited", "the provider said 429").retry_after(Duration::from_secs(20));
/// let never = Failure::new("bad_prompt", "no such template").no_retry().details(["greeting", "farewell"]);
/// assert_eq!((busy.kind(), busy.message()), ("rate_limited", "the provider said 429"));
/// # let _ = never;
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) details: Option<serde_json::Value>,
    pub(crate) retry: Option<bool>,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of this type. Types named in a submission's `non_retryable` end the execution.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), details: None, retry: None, retry_after: None }
    }

    /// Adds anything that serialises; what does not is left out.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// Ends the execution whatever its retry policy says.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.retry = Some(false);
        self
    }

    /// Overrides the back-off of the retry policy.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

// `Failure` is not an `Error` itself, so that this conversion can exist.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new("error", error.to_string())
    }
}
