//! What is bounded, however much comes in at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use stint_core::Command;
use stint_core::command::{Outcome, Replay, Submit};
use stint_core::model::State;
use stint_engine::hub::Wanted;

use crate::broken::Broken;
use crate::support::*;

/// What a batch may hold, and one command more.
const WRITES_MAX: usize = 2_000;

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_however_much_waits() {
    let store = Broken::new(store(true, None));
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    let submits = (0..100).map(|_| {
        let items = (0..100).map(|_| submission(id())).collect();
        running.node.call(HERE, Command::Submit(Submit { items }))
    });
    for answer in join_all(submits).await {
        let Ok(Outcome::Submitted(items)) = answer else { panic!("{answer:?}") };
        assert!(items.iter().all(Result::is_ok));
    }
    assert!(store.largest.load(Relaxed) < WRITES_MAX, "{} writes", store.largest.load(Relaxed));
    agrees(&running, &store.inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_what_waited_for_cold_records_is_bounded_too() {
    let store = Broken::new(store(true, None));
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    let ids: Vec<_> = (0..1_500).map(|_| id()).collect();
    join_all(ids.iter().map(|id| running.submit(submission(*id)))).await;
    let grants = running.claim(1_500).await;
    assert_eq!(grants.len(), ids.len());
    join_all(grants.iter().map(|grant| running.complete(grant.lease, "1"))).await;
    drop(running);
    // Another process has none of it at hand.
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    running.node.opened().await;
    store.largest.store(0, Relaxed);
    let replays = ids.iter().map(|id| {
        let namespace = "default".to_owned();
        let replay = Replay { namespace, id: *id, from_step: None, steps: Vec::new(), request: None };
        running.node.call(HERE, Command::Replay(replay))
    });
    for (answer, id) in join_all(replays).await.into_iter().zip(&ids) {
        assert_eq!(answer, Ok(Outcome::Acted(*id, State::Ready)));
    }
    assert!(store.largest.load(Relaxed) < WRITES_MAX, "{} writes", store.largest.load(Relaxed));
    agrees(&running, &store.inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_loads_what_its_answer_holds_and_leaves_the_rest() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let mut item = submission(id());
        item.input = payload(&format!("\"{}\"", "x".repeat(1 << 20)));
        ids.push(item.id);
        running.submit(item).await;
    }
    drop(running);
    // Another process has none of it at hand.
    let running = open(&store, "a").await;
    // Those that were given back count as if they had journaled: they may have.
    for (fits, leased) in [(7, 7), (6, 13)] {
        let wanted = Wanted { token: token(), worker: worker(1), filter: Arc::new(filter()), max: 20 };
        let leases = running.hub.park(wanted).settle().await;
        assert_eq!(leases.len(), fits);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut standing = Vec::new();
        for id in &ids {
            let execution = running.show(*id).await.execution;
            standing.push((execution.state(), execution.attempt));
        }
        let (given, left) = ((State::Running, 1), (State::Ready, 0));
        assert_eq!(standing.iter().filter(|standing| **standing == given).count(), leased);
        assert_eq!(standing.iter().filter(|standing| **standing == left).count(), 20 - leased);
    }
}
