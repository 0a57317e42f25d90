//! A submission of the API as core takes it: what is absent has core's default.

use std::sync::Arc;

use stint_api::{Backoff as ApiBackoff, BackoffKind as ApiKind, Problem, Retry as ApiRetry, SubmitRequest};
use stint_core::command::Submission;
use stint_core::key::{NameHash, name_hash};
use stint_core::model::{Backoff, BackoffKind, DEFAULT_POLICY, Payload, Policy, Requirement, Retry};
use stint_core::{ExecutionId, Millis};

use super::{budget, payload};

/// The lane of a submission that names none.
const DEFAULT_LANE: &str = "default";

/// The record that a submission's own key has, and the hash of its body as the client sent it.
pub(crate) fn key_of(request: &SubmitRequest, namespace: &str) -> Option<(NameHash, [u8; 16])> {
    let key = request.idempotency_key.as_deref()?;
    // Of what can be submitted nothing fails to serialise; if it did, the body would be taken as empty.
    let body = serde_json::to_vec(request).unwrap_or_default();
    let hash = Payload { bytes: body.into(), content_type: None }.hash();
    Some((name_hash(namespace, key), hash))
}

/// What core is asked to make.
pub(crate) fn submission(
    request: SubmitRequest,
    namespace: Arc<str>,
    id: ExecutionId,
    derived: bool,
    key: Option<(NameHash, [u8; 16])>,
) -> Result<Submission, Problem> {
    let requires = predicates("requires", &request.requires)?;
    predicates("prefer", &request.prefer)?;
    Ok(Submission {
        id,
        derived,
        namespace,
        lane: request.lane.map_or_else(|| Arc::from(DEFAULT_LANE), Arc::from),
        kind: request.kind.into(),
        requires,
        prefer: request.prefer,
        policy: Policy {
            queue_ttl_ms: request.queue_ttl_ms.map(millis),
            attempt_timeout_ms: request.attempt_timeout_ms.map(millis),
            deadline_ms: request.deadline_ms.map(millis),
            lease_ttl_ms: request.lease_ttl_ms.map_or(DEFAULT_POLICY.lease_ttl_ms, millis),
            retry: request.retry.map_or(DEFAULT_POLICY.retry, retry),
            max_crashes: request.max_crashes.unwrap_or(DEFAULT_POLICY.max_crashes),
            retention_ms: request.retention_ms.map(millis),
            budgets: request.budgets.into_iter().map(budget::kept_use).collect(),
        },
        priority: i8::try_from(request.priority.unwrap_or(0)).unwrap_or(0),
        due_at: request.run_at.map(|at| at.millis()),
        delay_ms: request.delay_ms.map(millis),
        fairness_key: request.fairness_key.map(Arc::from),
        tags: request.tags.into_iter().collect(),
        key,
        key_text: request.idempotency_key,
        input: payload::kept(request.input),
        traceparent: request.traceparent,
        known_only: false,
    })
}

/// A duration of the API, which bounds it far below the type.
pub(crate) fn millis(ms: u64) -> Millis {
    Millis::try_from(ms).unwrap_or(Millis::MAX)
}

fn retry(retry: ApiRetry) -> Retry {
    let unset = DEFAULT_POLICY.retry;
    Retry {
        max_attempts: retry.max_attempts.unwrap_or(unset.max_attempts),
        backoff: retry.backoff.map_or(unset.backoff, backoff),
        non_retryable: retry.non_retryable,
    }
}

fn backoff(backoff: ApiBackoff) -> Backoff {
    let unset = DEFAULT_POLICY.retry.backoff;
    let delay_ms = millis(backoff.delay_ms);
    let (kind, max_ms) = match backoff.kind {
        // A fixed wait has no cap of its own.
        ApiKind::Fixed => (BackoffKind::Fixed, delay_ms),
        ApiKind::Exponential => (
            BackoffKind::Exponential,
            // A first wait above the usual cap is meant as it stands.
            backoff.max_ms.map_or(unset.max_ms.max(delay_ms), millis),
        ),
    };
    Backoff {
        kind,
        delay_ms,
        factor: backoff.factor.map_or(unset.factor, |factor| factor.0),
        max_ms,
        jitter: backoff.jitter.map_or(unset.jitter, |jitter| jitter.0),
    }
}

fn predicates(field: &str, texts: &[String]) -> Result<Vec<Requirement>, Problem> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            Requirement::parse(text)
                .map_err(|error| Problem::invalid(format!("{field}[{index}]"), error.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use stint_api::{Payload as ApiPayload, Thousandths};

    use super::*;

    fn made(request: SubmitRequest) -> Submission {
        submission(request, "default".into(), ExecutionId([1; 16]), false, None).unwrap()
    }

    #[test]
    fn what_is_absent_has_the_default() {
        let made = made(SubmitRequest::new("mail", ApiPayload::null()));
        assert_eq!(made.policy, DEFAULT_POLICY);
        assert_eq!((&*made.lane, &*made.kind, made.priority), ("default", "mail", 0));
        assert_eq!(&made.input.bytes[..], b"null");
    }

    #[test]
    fn a_retry_that_says_little_keeps_the_rest() {
        let mut request = SubmitRequest::new("mail", ApiPayload::null());
        let exponential = ApiBackoff {
            kind: ApiKind::Exponential,
            delay_ms: 100_000,
            factor: Some(Thousandths(1_500)),
            max_ms: None,
            jitter: None,
        };
        request.retry = Some(ApiRetry { backoff: Some(exponential), ..ApiRetry::default() });
        let retry = made(request).policy.retry;
        assert_eq!(retry.max_attempts, DEFAULT_POLICY.retry.max_attempts);
        let Backoff { delay_ms, factor, max_ms, jitter, .. } = retry.backoff;
        assert_eq!((delay_ms, factor, max_ms), (100_000, 1_500, 100_000));
        assert_eq!(jitter, DEFAULT_POLICY.retry.backoff.jitter);
    }

    #[test]
    fn a_predicate_that_can_not_be_read_is_named() {
        for field in ["requires", "prefer"] {
            let mut request = SubmitRequest::new("mail", ApiPayload::null());
            let texts = vec!["gpu".to_owned(), "mem_gb >= lots".to_owned()];
            match field {
                "requires" => request.requires = texts,
                _ => request.prefer = texts,
            }
            let problem =
                submission(request, "default".into(), ExecutionId([1; 16]), false, None).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(&*format!("{field}[1]")));
        }
    }

    #[test]
    fn a_key_stands_for_the_body_as_it_was_sent() {
        let mut request = SubmitRequest::new("mail", ApiPayload::null());
        assert_eq!(key_of(&request, "default"), None);
        request.idempotency_key = Some("once".into());
        let first = key_of(&request, "default").unwrap();
        assert_eq!(key_of(&request, "default"), Some(first));
        request.priority = Some(0);
        let other = key_of(&request, "default").unwrap();
        assert_eq!(other.0, first.0);
        assert_ne!(other.1, first.1);
        assert_ne!(key_of(&request, "elsewhere").unwrap().0, first.0);
    }
}
