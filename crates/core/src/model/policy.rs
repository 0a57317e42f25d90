//! How an execution is retried, timed out and kept. Executions of one kind mostly share one policy.

use minicbor::{Decode, Encode};

use super::spending::BudgetUse;
use crate::Millis;
use crate::ids::ExecutionId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Factors and jitter are thousandths: 2_000 is 2.
const ONE: u64 = 1_000;

/// The policy of a submission that says nothing. Records hold only what differs from it, so it never changes within a
/// level.
pub const DEFAULT_POLICY: Policy = Policy {
    queue_ttl_ms: None,
    attempt_timeout_ms: None,
    deadline_ms: None,
    lease_ttl_ms: 30_000,
    retry: Retry {
        max_attempts: 3,
        backoff: Backoff {
            kind: BackoffKind::Exponential,
            delay_ms: 1_000,
            factor: 2_000,
            max_ms: 60_000,
            jitter: 200,
        },
        non_retryable: Vec::new(),
    },
    max_crashes: 5,
    retention_ms: None,
    budgets: Vec::new(),
};

/// Retention of an execution that names none: 7 days.
pub const RETENTION_MS: Millis = 7 * 24 * 3_600 * 1_000;

/// How long what has ended is kept at least if it names budgets: so long its worker may be cut off and still say what was spent.
pub const LATE_CHARGES_MS: Millis = 6 * 3_600_000;

/// Time-outs, retry and retention of an execution.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Policy {
    /// Give up if not started within this time of submission.
    pub queue_ttl_ms: Option<Millis>,
    /// Longest attempt.
    pub attempt_timeout_ms: Option<Millis>,
    /// Longest life, from submission.
    pub deadline_ms: Option<Millis>,
    /// A lease lasts this long past its last renewal.
    pub lease_ttl_ms: Millis,
    /// What follows a failure.
    pub retry: Retry,
    /// Crashed attempts that are followed by another.
    pub max_crashes: u32,
    /// Kept this long after its end; `None` is [`RETENTION_MS`].
    pub retention_ms: Option<Millis>,
    /// What it may spend; at most one per tree.
    pub budgets: Vec<BudgetUse>,
}

/// How often a failed attempt is followed by another, and when.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Retry {
    /// Failed attempts at which the execution fails, at least 1.
    pub max_attempts: u32,
    /// The wait before the next attempt.
    pub backoff: Backoff,
    /// Error types that are never followed by another attempt.
    pub non_retryable: Vec<String>,
}

/// The shape of the waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum BackoffKind {
    /// Always the same.
    #[n(0)]
    Fixed,
    /// Each `factor` times the one before.
    #[n(1)]
    Exponential,
}

/// Waits between attempts, in ms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Backoff {
    /// Fixed or exponential.
    pub kind: BackoffKind,
    /// The first wait.
    pub delay_ms: Millis,
    /// Thousandths by which each wait is multiplied to give the next.
    pub factor: u32,
    /// Longest wait.
    pub max_ms: Millis,
    /// Thousandths of the wait by which it may be shorter, at most 1,000: spreads retries of many.
    pub jitter: u32,
}

impl Policy {
    /// How long its record is kept after its end. A late charge finds its budgets by it.
    pub fn retention(&self) -> Millis {
        let least = if self.budgets.is_empty() { 0 } else { LATE_CHARGES_MS };
        self.retention_ms.map_or(RETENTION_MS, |retention| retention.max(least))
    }
}

impl Backoff {
    /// The wait after the `failures`-th failure (from 1): `min(max, delay * factor^(failures - 1))`, less a share
    /// of up to `jitter` that follows from the execution and the failure alone.
    pub fn wait(&self, id: ExecutionId, failures: u32) -> Millis {
        let max = self.max_ms.max(0) as u64;
        let mut wait = (self.delay_ms.max(0) as u64).min(max);
        if self.kind == BackoffKind::Exponential {
            for _ in 1..failures {
                let next = wait.saturating_mul(u64::from(self.factor)) / ONE;
                if next == wait || wait >= max {
                    break;
                }
                wait = next.min(max);
            }
        }
        let jitter = u64::from(self.jitter).min(ONE);
        let share = xxh3_64_with_seed(&id.0, u64::from(failures)) % (ONE + 1);
        let shorter = u128::from(wait) * u128::from(jitter) * u128::from(share) / u128::from(ONE * ONE);
        (wait - shorter as u64) as Millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(kind: BackoffKind, jitter: u32) -> Backoff {
        Backoff { kind, delay_ms: 100, factor: 2_500, max_ms: 1_000, jitter }
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_the_cap() {
        let waits =
            |kind| (1..=5).map(|n| backoff(kind, 0).wait(ExecutionId([0; 16]), n)).collect::<Vec<_>>();
        assert_eq!(waits(BackoffKind::Exponential), [100, 250, 625, 1_000, 1_000]);
        assert_eq!(waits(BackoffKind::Fixed), [100; 5]);
    }

    #[test]
    fn jitter_only_shortens_and_differs_between_executions() {
        let wait = |n: u8| backoff(BackoffKind::Fixed, 500).wait(ExecutionId([n; 16]), 1);
        assert!((0..50).all(|n| (50..=100).contains(&wait(n))));
        assert!((1..50).any(|n| wait(n) != wait(0)));
    }
}
