//! When a failed attempt is followed by another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::object::objects_only;
use crate::{
    ERROR_TYPE_BYTES, FACTOR_MAX, JITTER_MAX, MAX_ATTEMPTS, NON_RETRYABLE, Problem, Thousandths, check,
};

/// A retry policy. What is absent has core's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How long to wait between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Error types that end the execution at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<String>,
}

/// The wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Backoff {
    /// Whether it grows.
    pub kind: BackoffKind,
    /// The first wait.
    pub delay_ms: u64,
    /// What each wait is multiplied by (exponential only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Thousandths>,
    /// The longest wait (exponential only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u64>,
    /// The share of each wait that is left to chance: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Thousandths>,
}

/// Whether the wait grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BackoffKind {
    /// Always the same.
    Fixed,
    /// Each one `factor` times the one before.
    Exponential,
}

objects_only!(Retry, Backoff);

impl Retry {
    /// So many attempts in all, each this long after the failure of the one before, give or take some chance.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stint_api::Retry;
    ///
    /// // A minute sharp between attempts, and none after a `BadInput`.
    /// let retry = Retry::fixed(5, Duration::from_secs(60)).without_jitter().except("BadInput");
    /// assert_eq!(retry.max_attempts, Some(5));
    /// ```
    pub fn fixed(max_attempts: u32, delay: Duration) -> Self {
        let (kind, delay_ms) = (BackoffKind::Fixed, ms(delay));
        let backoff = Backoff { kind, delay_ms, factor: None, max_ms: None, jitter: None };
        Self { max_attempts: Some(max_attempts), backoff: Some(backoff), non_retryable: Vec::new() }
    }

    /// So many attempts in all, with waits that grow from the first to the longest.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stint_api::Retry;
    ///
    /// let retry = Retry::exponential(10, Duration::from_secs(1), Duration::from_secs(3_600));
    /// assert_eq!(retry.backoff.unwrap().max_ms, Some(3_600_000));
    /// ```
    pub fn exponential(max_attempts: u32, first: Duration, longest: Duration) -> Self {
        let (kind, delay_ms, max_ms) = (BackoffKind::Exponential, ms(first), Some(ms(longest)));
        let backoff = Backoff { kind, delay_ms, factor: None, max_ms, jitter: None };
        Self { max_attempts: Some(max_attempts), backoff: Some(backoff), non_retryable: Vec::new() }
    }

    /// Leaves nothing to chance: each wait is exactly as long as it says.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        if let Some(backoff) = &mut self.backoff {
            backoff.jitter = Some(Thousandths(0));
        }
        self
    }

    /// Adds an error type that ends the execution at once.
    #[must_use]
    pub fn except(mut self, error_type: impl Into<String>) -> Self {
        self.non_retryable.push(error_type.into());
        self
    }

    /// Checks ranges and sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(attempts) = self.max_attempts {
            check::range("max_attempts", attempts, 1, MAX_ATTEMPTS)?;
        }
        if let Some(backoff) = &self.backoff {
            backoff.validate().map_err(|problem| problem.within("backoff"))?;
        }
        check::count("non_retryable", self.non_retryable.len(), NON_RETRYABLE)?;
        check::each("non_retryable", &self.non_retryable, |at, kind| check::text(at, kind, ERROR_TYPE_BYTES))
    }
}

impl Backoff {
    fn validate(&self) -> Result<(), Problem> {
        check::duration("delay_ms", Some(self.delay_ms), 0)?;
        check::duration("max_ms", self.max_ms, 0)?;
        if self.kind == BackoffKind::Fixed && (self.factor.is_some() || self.max_ms.is_some()) {
            let field = if self.factor.is_some() { "factor" } else { "max_ms" };
            return Err(Problem::invalid(field, "a fixed backoff does not grow")
                .remedy("Leave it out, or use kind `exponential`."));
        }
        if let Some(factor) = self.factor
            && !(1_000..=FACTOR_MAX).contains(&factor.0)
        {
            return Err(Problem::invalid("factor", format!("{factor} is out of range, expected 1 to 100")));
        }
        if let Some(jitter) = self.jitter
            && jitter.0 > JITTER_MAX
        {
            return Err(Problem::invalid("jitter", format!("{jitter} is out of range, expected 0 to 1")));
        }
        Ok(())
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
