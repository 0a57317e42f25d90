//! Policies as bytes: only what differs from [`DEFAULT_POLICY`].

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use super::policy::{Backoff, BackoffKind, DEFAULT_POLICY, Policy, Retry};
use super::spending::BudgetUse;
use crate::Millis;

#[derive(Encode, Decode)]
#[cbor(map)]
struct PolicyRow {
    #[n(0)]
    queue_ttl_ms: Option<Millis>,
    #[n(1)]
    attempt_timeout_ms: Option<Millis>,
    #[n(2)]
    deadline_ms: Option<Millis>,
    #[n(3)]
    lease_ttl_ms: Option<Millis>,
    #[n(4)]
    max_attempts: Option<u32>,
    #[n(5)]
    non_retryable: Option<Vec<String>>,
    #[n(6)]
    max_crashes: Option<u32>,
    #[n(7)]
    retention_ms: Option<Millis>,
    #[n(8)]
    kind: Option<BackoffKind>,
    #[n(9)]
    delay_ms: Option<Millis>,
    #[n(10)]
    factor: Option<u32>,
    #[n(11)]
    max_ms: Option<Millis>,
    #[n(12)]
    jitter: Option<u32>,
    #[n(13)]
    budgets: Option<Vec<BudgetUse>>,
}

fn unless<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

impl<C> Encode<C> for Policy {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, context: &mut C) -> Result<(), encode::Error<W::Error>> {
        let default = DEFAULT_POLICY;
        let (backoff, default_backoff) = (&self.retry.backoff, &default.retry.backoff);
        let row = PolicyRow {
            queue_ttl_ms: self.queue_ttl_ms,
            attempt_timeout_ms: self.attempt_timeout_ms,
            deadline_ms: self.deadline_ms,
            lease_ttl_ms: unless(self.lease_ttl_ms, default.lease_ttl_ms),
            max_attempts: unless(self.retry.max_attempts, default.retry.max_attempts),
            non_retryable: (!self.retry.non_retryable.is_empty()).then(|| self.retry.non_retryable.clone()),
            max_crashes: unless(self.max_crashes, default.max_crashes),
            retention_ms: self.retention_ms,
            kind: unless(backoff.kind, default_backoff.kind),
            delay_ms: unless(backoff.delay_ms, default_backoff.delay_ms),
            factor: unless(backoff.factor, default_backoff.factor),
            max_ms: unless(backoff.max_ms, default_backoff.max_ms),
            jitter: unless(backoff.jitter, default_backoff.jitter),
            budgets: (!self.budgets.is_empty()).then(|| self.budgets.clone()),
        };
        row.encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Policy {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, Error> {
        let row = PolicyRow::decode(d, context)?;
        let default = DEFAULT_POLICY;
        let backoff = default.retry.backoff;
        Ok(Self {
            queue_ttl_ms: row.queue_ttl_ms,
            attempt_timeout_ms: row.attempt_timeout_ms,
            deadline_ms: row.deadline_ms,
            lease_ttl_ms: row.lease_ttl_ms.unwrap_or(default.lease_ttl_ms),
            retry: Retry {
                max_attempts: row.max_attempts.unwrap_or(default.retry.max_attempts),
                backoff: Backoff {
                    kind: row.kind.unwrap_or(backoff.kind),
                    delay_ms: row.delay_ms.unwrap_or(backoff.delay_ms),
                    factor: row.factor.unwrap_or(backoff.factor),
                    max_ms: row.max_ms.unwrap_or(backoff.max_ms),
                    jitter: row.jitter.unwrap_or(backoff.jitter),
                },
                non_retryable: row.non_retryable.unwrap_or_default(),
            },
            max_crashes: row.max_crashes.unwrap_or(default.max_crashes),
            retention_ms: row.retention_ms,
            budgets: row.budgets.unwrap_or_default(),
        })
    }
}
