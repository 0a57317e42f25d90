//! Attempts that fail or crash, and what follows them.

use stint_api::{
    AttemptOutcome, Backoff, BackoffKind, ExecutionState, FailRequest, Failure, HeartbeatRequest, Retry,
    SubmitRequest,
};

use crate::bed::{Bed, pass, work};

fn with_retry(max_attempts: u32, delay_ms: u64) -> SubmitRequest {
    let backoff = Backoff { kind: BackoffKind::Fixed, delay_ms, factor: None, max_ms: None, jitter: None };
    let backoff = Backoff { jitter: Some(stint_api::Thousandths(0)), ..backoff };
    let retry = Retry {
        max_attempts: Some(max_attempts),
        backoff: Some(backoff),
        non_retryable: vec!["final".into()],
    };
    SubmitRequest { retry: Some(retry), ..work() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_followed_by_another_after_its_back_off() {
    let bed = Bed::new().await;
    let id = bed.submit(with_retry(2, 5_000)).await.id;
    let first = bed.lease_one().await;
    let failed_at = bed.engine.execution("default", &id).await.unwrap().submitted_at.millis();
    let end = bed.fail(&first).await.unwrap();
    assert_eq!(end.state, ExecutionState::Scheduled);
    assert_eq!(end.run_at.unwrap().millis() - failed_at, 5_000);
    assert_eq!(bed.why(&id).await, ["retry_backoff"]);
    pass(4_990).await;
    assert!(bed.lease(1).await.is_empty());
    pass(15).await;
    let second = bed.lease_one().await;
    assert_eq!(second.attempt, 2);
    let end = bed.fail(&second).await.unwrap();
    assert_eq!((end.state, end.run_at), (ExecutionState::Failed, None));
    let shown = bed.engine.execution("default", &id).await.unwrap();
    let outcomes: Vec<_> = shown.attempts.iter().map(|attempt| attempt.outcome.unwrap()).collect();
    assert_eq!(outcomes, [AttemptOutcome::Failed; 2]);
    assert_eq!(bed.result(&id).await.error.unwrap().kind, "broken");
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_overrule_the_policy() {
    let bed = Bed::new().await;
    let fail = |kind: &str| FailRequest::new(Failure::new(kind, ""));
    for (request, state) in [
        (FailRequest { retry: Some(false), ..fail("broken") }, ExecutionState::Failed),
        (FailRequest { retry_after_ms: Some(60_000), ..fail("broken") }, ExecutionState::Scheduled),
        (fail("final"), ExecutionState::Failed),
        (fail("broken"), ExecutionState::Ready),
    ] {
        bed.submit(with_retry(2, 0)).await;
        let lease = bed.lease_one().await;
        assert_eq!(bed.engine.fail(&lease.lease, request.clone()).await.unwrap().state, state, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_expires_is_a_crash_and_the_next_attempt_follows_at_once() {
    let bed = Bed::new().await;
    let request = SubmitRequest { lease_ttl_ms: Some(5_000), max_crashes: Some(1), ..work() };
    let id = bed.submit(request).await.id;
    let first = bed.lease_one().await;
    pass(4_000).await;
    bed.engine.heartbeat(&first.lease, HeartbeatRequest::default()).await.unwrap();
    pass(4_000).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Running);
    pass(1_001).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Ready);
    let second = bed.lease_one().await;
    assert_eq!(second.attempt, 2);
    let lost = bed.complete(&first, "1").await.unwrap_err();
    assert_eq!(lost.code, stint_api::Code::LeaseLost);
    pass(5_001).await;
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!((shown.state, shown.crashes), (ExecutionState::Failed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_gets_the_crashed_work_when_its_lease_expires() {
    let bed = Bed::new().await;
    bed.submit(SubmitRequest { lease_ttl_ms: Some(5_000), ..work() }).await;
    bed.lease_one().await;
    let began = tokio::time::Instant::now();
    let request = stint_api::LeaseRequest { wait_ms: 60_000, ..crate::bed::claim(1) };
    let leases = bed.engine.lease(request, None).await.unwrap().leases;
    assert_eq!(leases[0].attempt, 2);
    assert!((4_990..5_100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_no_crash() {
    let bed = Bed::new().await;
    let id = bed.submit(SubmitRequest { lease_ttl_ms: Some(5_000), ..work() }).await.id;
    let lease = bed.lease_one().await;
    pass(4_000).await;
    let bed = bed.restart().await;
    pass(4_000).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Running);
    bed.complete(&lease, "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_back_costs_no_attempt() {
    let bed = Bed::new().await;
    bed.submit_work().await;
    let lease = bed.lease_one().await;
    let end = bed.engine.release(&lease.lease, stint_api::ReleaseRequest::default()).await.unwrap();
    assert_eq!(end.state, ExecutionState::Ready);
    assert_eq!(bed.lease_one().await.attempt, 1);
}
