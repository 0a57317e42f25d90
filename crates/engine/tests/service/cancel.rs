//! Stopping: waiting work at once, running work with a grace, and how the worker hears of it.

use std::time::Duration;

use stint_api::{CancelRequest, Code, ExchangeLease, ExchangeStep, ExecutionState, HeartbeatRequest};
use tokio::time::Instant;

use crate::bed::{Bed, Worker, json, pass};

fn cancel(grace_ms: u64) -> CancelRequest {
    CancelRequest { reason: Some("not needed".into()), grace_ms: Some(grace_ms), namespace: None }
}

#[tokio::test(start_paused = true)]
async fn waiting_work_is_cancelled_at_once_and_twice_is_fine() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    for _ in 0..2 {
        let reply = bed.engine.cancel("default", &id, cancel(1_000)).await.unwrap();
        assert_eq!(reply.state, ExecutionState::Cancelled);
    }
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!(shown.reason.as_deref(), Some("not needed"));
    assert!(bed.lease(1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn cancelling_what_has_finished_says_so() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    bed.complete(&bed.lease_one().await, "1").await.unwrap();
    let problem = bed.engine.cancel("default", &id, cancel(0)).await.unwrap_err();
    assert_eq!(problem.code, Code::ExecutionFinished);
}

/// A worker with a lease, and its next exchange parked.
async fn parked(bed: &Bed) -> (String, String, tokio::task::JoinHandle<stint_api::ExchangeReply>, Worker) {
    let mut worker = Worker::new(bed, "w1");
    let id = bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases.remove(0).lease;
    let held = lease.clone();
    let request = worker.next(|request| {
        request.leases.push(ExchangeLease { lease: held, progress: None });
        request.wait_ms = 60_000;
    });
    let engine = bed.engine.clone();
    let exchange = tokio::spawn(async move { engine.exchange(request).await.unwrap() });
    pass(1_000).await;
    assert!(!exchange.is_finished());
    (id, lease, exchange, worker)
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_a_parked_exchange_at_once_with_reason_and_grace() {
    let bed = Bed::new().await;
    let (id, lease, exchange, _) = parked(&bed).await;
    let began = Instant::now();
    let reply = bed.engine.cancel("default", &id, cancel(3_000)).await.unwrap();
    assert_eq!(reply.state, ExecutionState::Running);
    let reply = exchange.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    let [stop] = &reply.stops[..] else { panic!("{reply:?}") };
    assert_eq!((stop.lease.as_str(), stop.reason.as_str()), (lease.as_str(), "not needed"));
    assert!((2_900..=3_000).contains(&stop.grace_ms), "{}", stop.grace_ms);
    assert_eq!(bed.why(&id).await, ["stopping", "running"]);
    pass(3_001).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_away_is_said_at_once_without_grace() {
    let bed = Bed::new().await;
    let (id, lease, exchange, mut worker) = parked(&bed).await;
    bed.engine.revoke("default", &id).await.unwrap();
    let reply = exchange.await.unwrap();
    let [stop] = &reply.stops[..] else { panic!("{reply:?}") };
    assert_eq!((stop.lease.as_str(), stop.reason.as_str(), stop.grace_ms), (lease.as_str(), "revoked", 0));
    // The worker has a slot free, so it may get the next attempt with the very same reply.
    let again = match &reply.leases[..] {
        [] => worker.exchange(|request| request.seen = 2).await.unwrap().leases,
        _ => reply.leases,
    };
    assert_eq!((again[0].execution.id.as_str(), again[0].attempt), (id.as_str(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_in_time_ends_the_execution_as_cancelled() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    bed.engine.cancel("default", &id, cancel(10_000)).await.unwrap();
    let heard = bed.engine.heartbeat(&lease.lease, HeartbeatRequest::default()).await.unwrap();
    let stop = heard.stop.unwrap();
    assert_eq!((stop.reason.as_str(), stop.grace_ms), ("not needed", 10_000));
    assert_eq!(bed.fail(&lease).await.unwrap().state, ExecutionState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn work_that_finishes_although_it_was_asked_to_stop_has_finished() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    bed.engine.cancel("default", &id, cancel(10_000)).await.unwrap();
    assert_eq!(bed.complete(&lease, "1").await.unwrap().state, ExecutionState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_second_cancel_that_leaves_less_time_is_told_as_well() {
    let bed = Bed::new().await;
    let (id, lease, exchange, mut worker) = parked(&bed).await;
    bed.engine.cancel("default", &id, cancel(60_000)).await.unwrap();
    worker.request.seen = exchange.await.unwrap().n;
    let held = lease.clone();
    let request = worker.next(|request| {
        request.leases.push(ExchangeLease { lease: held, progress: None });
        request.wait_ms = 60_000;
    });
    let engine = bed.engine.clone();
    let exchange = tokio::spawn(async move { engine.exchange(request).await.unwrap() });
    pass(1_000).await;
    assert!(!exchange.is_finished());
    bed.engine.cancel("default", &id, cancel(90_000)).await.unwrap();
    pass(1_000).await;
    assert!(!exchange.is_finished(), "more time is no news");
    bed.engine.cancel("default", &id, cancel(3_000)).await.unwrap();
    let reply = exchange.await.unwrap();
    let [stop] = &reply.stops[..] else { panic!("{reply:?}") };
    assert!((2_900..=3_000).contains(&stop.grace_ms), "{}", stop.grace_ms);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_comes_while_a_step_is_recorded_is_told_with_its_answer() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases.remove(0).lease;
    let step = |output: Option<&str>| ExchangeStep {
        lease: lease.clone(),
        key: "a".into(),
        output: output.map(json),
    };
    worker.exchange(|request| request.steps.push(step(None))).await.unwrap();
    bed.engine.cancel("default", &id, cancel(60_000)).await.unwrap();
    pass(10).await;
    let reply = worker.exchange(|request| request.steps.push(step(Some("1")))).await.unwrap();
    let [stop] = &reply.stops[..] else { panic!("{reply:?}") };
    assert_eq!((stop.lease.as_str(), stop.reason.as_str()), (lease.as_str(), "not needed"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_for_a_reply_that_nobody_waits_for_any_more_is_told_in_the_next() {
    let mut cut_off = 0;
    for moment in 0..40 {
        let bed = Bed::new().await;
        let (id, lease, exchange, mut worker) = parked(&bed).await;
        bed.engine.cancel("default", &id, cancel(60_000)).await.unwrap();
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        exchange.abort();
        if exchange.await.is_ok() {
            break;
        }
        cut_off += 1;
        let listed = ExchangeLease { lease, progress: None };
        let reply = worker.exchange(|request| {
            request.leases.push(listed);
            request.wait_ms = 1_000;
        });
        assert_eq!(reply.await.unwrap().stops.len(), 1, "cut off at {moment}");
    }
    assert!(cut_off > 1, "it was always too late");
}

#[tokio::test(start_paused = true)]
async fn stops_reach_who_holds_the_lease_whoever_else_lists_one() {
    let bed = Bed::new().await;
    let (id, lease, exchange, _) = parked(&bed).await;
    // Another worker names a lease of the same execution that is none.
    let (front, back) = lease.split_at(lease.len() - 5);
    let forged = format!("{front}{}{}", if back.starts_with('0') { '1' } else { '0' }, &back[1..]);
    let mut other = Worker::new(&bed, "w2");
    let listing = other.exchange(|request| {
        request.max = 0;
        request.leases.push(ExchangeLease { lease: forged, progress: None });
    });
    assert_eq!(listing.await.unwrap().answers.len(), 1);
    bed.engine.cancel("default", &id, cancel(3_000)).await.unwrap();
    let reply = exchange.await.unwrap();
    assert_eq!(reply.stops.len(), 1, "{reply:?}");
    assert_eq!(reply.stops[0].lease, lease);
}
