//! What the clock does, to the millisecond, and what it must not do.

use std::time::Duration;

use stint_core::command::{Heartbeat, Outcome};
use stint_core::model::{Policy, State};
use stint_core::{Command, EventKind};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn delays_time_outs_and_expiries_happen_when_they_are_due() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    let delayed = id();
    let mut item = submission(delayed);
    item.delay_ms = Some(12_345);
    running.submit(item).await;
    let given_up = id();
    let mut item = submission(given_up);
    item.policy = Policy { queue_ttl_ms: Some(5_000), ..lease_ttl(Duration::from_secs(30)) };
    item.lane = "elsewhere".into();
    running.submit(item).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let shown = running.show(delayed).await.execution;
    let became = shown.history().iter().find(|t| t.kind == EventKind::Ready).unwrap().at;
    assert_eq!(became, shown.submitted_at + 12_345);
    let shown = running.show(given_up).await.execution;
    assert_eq!(shown.state(), State::Expired);
    assert_eq!(shown.end.unwrap().at, shown.submitted_at + 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_leases_that_expire_at_once_are_ready_again_at_once() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    for _ in 0..1_000 {
        running.submit(submission(id())).await;
    }
    let grants = running.claim(1_000).await;
    assert_eq!(grants.len(), 1_000);
    tokio::time::sleep(Duration::from_millis(29_990)).await;
    assert!(running.claim(1_000).await.is_empty());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = running.claim(2_000).await;
    assert_eq!(again.len(), 1_000);
    assert!(again.iter().all(|grant| grant.attempt == 2));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_lease_and_a_restart_gives_it_a_full_ttl() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        let beat = Command::Heartbeat(Heartbeat { lease, progress: None });
        assert!(matches!(running.node.call(HERE, beat).await, Ok(Outcome::Renewed(_))));
    }
    drop(running);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let running = open(&store.handle(2), "a").await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(running.show(lease.execution).await.execution.state(), State::Running);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let shown = running.show(lease.execution).await.execution;
    assert_eq!((shown.state(), shown.crashes), (State::Ready, 1));
}

#[tokio::test(start_paused = true)]
async fn time_does_not_run_back_with_the_stores_clock() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    let first = id();
    running.submit(submission(first)).await;
    drop(running);
    store.jump_clock(-3_600_000);
    let running = open(&store.handle(2), "a").await;
    let second = id();
    running.submit(submission(second)).await;
    let (first, second) = (running.show(first).await.execution, running.show(second).await.execution);
    assert!(second.submitted_at >= first.submitted_at);
}
