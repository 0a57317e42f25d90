//! From submission to end.

use stint_api::{AttemptOutcome, Code, ExecutionState, Instant};

use crate::bed::{Bed, START_MS, json, pass, work};

#[tokio::test(start_paused = true)]
async fn work_goes_in_is_run_and_its_output_comes_out() {
    let bed = Bed::new().await;
    let mut request = work();
    request.input = json(r#"{"to":"you"}"#);
    request.tags = [("team".to_owned(), "red".to_owned())].into();
    let submitted = bed.submit(request).await;
    assert_eq!((submitted.state, submitted.existed), (ExecutionState::Ready, false));
    let lease = bed.lease_one().await;
    assert_eq!(lease.execution.id, submitted.id);
    assert_eq!(lease.execution.input, json(r#"{"to":"you"}"#));
    assert_eq!((lease.attempt, lease.ttl_ms, lease.execution.tags.len()), (1, 30_000, 1));
    assert_eq!(bed.state(&submitted.id).await, ExecutionState::Running);
    pass(100).await;
    let end = bed.complete(&lease, "[1]").await.unwrap();
    assert_eq!(end.state, ExecutionState::Completed);
    let result = bed.result(&submitted.id).await;
    assert_eq!((result.state, result.output), (ExecutionState::Completed, Some(json("[1]"))));
    let shown = bed.engine.execution("default", &submitted.id).await.unwrap();
    assert_eq!(shown.attempts.len(), 1);
    let attempt = &shown.attempts[0];
    assert_eq!(attempt.outcome, Some(AttemptOutcome::Completed));
    assert_eq!((attempt.worker.as_str(), shown.tags["team"].as_str()), ("worker-1", "red"));
    assert_eq!(shown.ended_at.unwrap().millis() - shown.submitted_at.millis(), 100);
    assert!(shown.submitted_at >= Instant::from_millis(START_MS));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_once() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    bed.complete(&lease, "1").await.unwrap();
    assert_eq!(bed.complete(&lease, "1").await.unwrap().state, ExecutionState::Completed);
    assert_eq!(bed.complete(&lease, "2").await.unwrap_err().code, Code::AlreadyCompleted);
    assert_eq!(bed.fail(&lease).await.unwrap_err().code, Code::AlreadyCompleted);
    assert_eq!(bed.result(&id).await.output, Some(json("1")));
}
