//! A store that is full, that hangs, or that stands above its node; a process that stood still.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use stint_core::command::{Outcome, Release, Submit};
use stint_core::model::State;
use stint_core::{Command, LEVEL};
use stint_engine::hub::Wanted;
use stint_engine::{CallError, EngineConfig};
use stint_store::memory::{Outage, OutageKind, Rates, SeededFaults};
use stint_store::{META, PartitionId};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::broken::Broken;
use crate::support::*;

fn wanted() -> Wanted {
    Wanted { token: token(), worker: worker(1), filter: Arc::new(filter()), max: 1 }
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_not_asked_without_end_for_a_parked_claim() {
    let store = Broken::new(store(true, None));
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    running.submit(submission(id())).await;
    store.full.store(true, Relaxed);
    store.asked.store(0, Relaxed);
    let parked = running.hub.park(wanted());
    sleep(Duration::from_secs(10)).await;
    let asked = store.asked.load(Relaxed);
    assert!((2..=12).contains(&asked), "{asked} commits in ten seconds");
    store.full.store(false, Relaxed);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(parked.settle().await.len(), 1);
    agrees(&running, &store.inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_to_a_full_store_is_no_crash() {
    let store = Broken::new(store(true, None));
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    store.full.store(true, Relaxed);
    running.node.post(HERE, Command::Release(Release { lease, unfinished: false }));
    sleep(Duration::from_secs(5)).await;
    store.full.store(false, Relaxed);
    sleep(Duration::from_secs(2)).await;
    let shown = running.show(lease.execution).await.execution;
    assert_eq!((shown.state(), shown.attempt, shown.crashes), (State::Ready, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_crashes_nothing_whoever_speaks_first() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    // A call has just come in when the process is stopped for longer than the lease lasts.
    let other = Submit { items: vec![submission(id())] };
    let mut call = pin!(running.node.call(HERE, Command::Submit(other)));
    assert!(call.as_mut().now_or_never().is_none());
    advance(Duration::from_secs(40)).await;
    assert!(call.await.is_ok());
    sleep(Duration::from_secs(29)).await;
    let shown = running.show(lease.execution).await.execution;
    assert_eq!((shown.state(), shown.crashes), (State::Running, 0));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.show(lease.execution).await.execution.crashes, 1);
}

#[tokio::test(start_paused = true)]
async fn who_speaks_while_a_partition_is_given_up_is_answered() {
    let rates = Rates { always_us_max: 20_000, ..Rates::default() };
    let store = store(false, Some(Box::new(SeededFaults::new(1, rates))));
    store.calm(true);
    let at = |name, level| EngineConfig { level, ..config(name) };
    let older = open_with(&store.handle(1), at("older", LEVEL)).await;
    let newer = open_with(&store.handle(2), at("newer", LEVEL + 1)).await;
    store.calm(false);
    // It is not heard for so long that the newer one raises what it writes.
    let (lasting, kind) = (Duration::from_secs(10), OutageKind::Refuse);
    store.outage(Outage { handle: Some(1), partition: Some(META), lasting, kind });
    sleep(lasting).await;
    newer.submit(submission(id())).await;
    assert_eq!(store.head(PartitionId(HERE.0)).level, LEVEL + 1);
    let calls = (0..200).map(async |n| {
        sleep(Duration::from_millis(n)).await;
        older.try_submit(submission(id())).await
    });
    let answers = timeout(Duration::from_secs(60), join_all(calls)).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(CallError::Store(_)))), "{answers:?}");
    assert_eq!(older.node.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_store_that_hangs() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let lasting = Duration::from_secs(60);
    store.outage(Outage { handle: None, partition: None, lasting, kind: OutageKind::Hang });
    let (first, second) = (id(), id());
    let begun = Instant::now();
    let (one, two) = tokio::join!(running.try_submit(submission(first)), async {
        sleep(Duration::from_secs(7)).await;
        assert_eq!(running.node.unanswered().as_secs(), 7);
        running.try_submit(submission(second)).await
    });
    for answer in [one, two, running.try_submit(submission(id())).await] {
        assert!(matches!(answer, Err(CallError::Store(_))), "{answer:?}");
    }
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(running.node.in_flight(), 0);
    sleep(Duration::from_secs(45)).await;
    assert!(running.node.unanswered().is_zero());
    // Nobody knew, but both came through.
    for id in [first, second] {
        assert_eq!(running.show(id).await.execution.state(), State::Ready);
    }
    assert!(running.try_submit(submission(id())).await.is_ok());
    agrees(&running, &store).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_heartbeats_are_not_answered_notices() {
    let store = store(false, None);
    let running = open(&store, "a").await;
    sleep(Duration::from_secs(60)).await;
    assert!(running.node.unanswered() < Duration::from_secs(3));
    let lasting = Duration::from_secs(30);
    store.outage(Outage { handle: None, partition: None, lasting, kind: OutageKind::Hang });
    sleep(Duration::from_secs(10)).await;
    assert!(running.node.unanswered() > Duration::from_secs(6));
    sleep(Duration::from_secs(30)).await;
    assert!(running.node.unanswered() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_batch_fills_the_queue_by_its_items_and_by_what_they_hold() {
    let large = || {
        let mut item = submission(id());
        item.input = payload(&format!("\"{}\"", "x".repeat(64 << 10)));
        vec![item]
    };
    let many = || (0..30).map(|_| submission(id())).collect();
    for items in [large(), many()] {
        let store = store(true, None);
        let running = open_with(&store, EngineConfig { queue_max: 20, ..config("a") }).await;
        let lasting = Duration::from_secs(5);
        store.outage(Outage { handle: None, partition: None, lasting, kind: OutageKind::Hang });
        let (taken, refused) = tokio::join!(
            running.node.call(HERE, Command::Submit(Submit { items })),
            running.try_submit(submission(id())),
        );
        assert!(matches!(taken, Ok(Outcome::Submitted(_))), "{taken:?}");
        assert_eq!(refused, Err(CallError::Overloaded));
        assert_eq!(running.node.in_flight(), 0);
        assert!(running.try_submit(submission(id())).await.is_ok());
    }
}
