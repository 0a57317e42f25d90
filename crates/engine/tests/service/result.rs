//! Waiting for a result.

use std::time::Duration;

use stint_api::{Code, ExecutionState};
use tokio::time::Instant;

use crate::bed::{Bed, json, pass};

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_hears_of_the_end_at_once() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let engine = bed.engine.clone();
    let of = id.clone();
    let waiting = tokio::spawn(async move { engine.result("default", &of, 60_000).await.unwrap() });
    let lease = bed.lease_one().await;
    pass(5_000).await;
    assert!(!waiting.is_finished());
    let began = Instant::now();
    bed.complete(&lease, "7").await.unwrap();
    let result = waiting.await.unwrap();
    assert_eq!((result.state, result.output), (ExecutionState::Completed, Some(json("7"))));
    assert!(began.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_says_what_the_execution_is_doing() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let began = Instant::now();
    let result = bed.engine.result("default", &id, 2_000).await.unwrap();
    assert_eq!((result.state, result.output), (ExecutionState::Ready, None));
    assert!((2_000..2_020).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found_and_what_is_no_id_is_malformed() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    for (namespace, id, code) in [
        ("other", id.as_str(), Code::NotFound),
        ("default", "ex_00000000000000000000000000", Code::NotFound),
        ("default", "ex_0", Code::MalformedId),
        ("default", "ls_0", Code::MalformedId),
        ("no such name", id.as_str(), Code::InvalidField),
    ] {
        assert_eq!(bed.engine.result(namespace, id, 0).await.unwrap_err().code, code, "{namespace} {id}");
        assert_eq!(bed.engine.execution(namespace, id).await.unwrap_err().code, code, "{namespace} {id}");
    }
}
