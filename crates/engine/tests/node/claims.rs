//! Claims at the hub: work that arrives is leased in its own batch, and leases carry what their worker needs.

use std::sync::Arc;
use std::time::Duration;

use stint_core::Command;
use stint_core::command::{BeginStep, Outcome, RecordStep, Release};
use stint_core::model::State;
use stint_engine::hub::{GrantedLease, Wanted};
use stint_store::Store;
use stint_store::memory::{Outage, OutageKind, Rates, SeededFaults};
use tokio::time::timeout;

use crate::support::*;

fn wanted(max: usize) -> Wanted {
    Wanted { token: token(), worker: worker(0), filter: Arc::new(filter()), max }
}

/// What a claim gets within so many seconds.
async fn get(running: &Running, max: usize, seconds: u64) -> Vec<GrantedLease> {
    let parked = running.hub.park(wanted(max));
    _ = timeout(Duration::from_secs(seconds), parked.watch().answerable()).await;
    parked.settle().await
}

#[tokio::test(start_paused = true)]
async fn work_that_meets_a_parked_claim_is_leased_in_its_own_batch() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    let parked = running.hub.park(wanted(1));
    tokio::task::yield_now().await;
    let before = store.counters().commits;
    let id = id();
    running.submit(submission(id)).await;
    _ = timeout(Duration::from_secs(1), parked.watch().answerable()).await;
    let leases = parked.settle().await;
    assert_eq!(leases[0].grant.lease.execution, id);
    assert_eq!(&leases[0].input[..], b"{}");
    assert_eq!(store.counters().commits, before + 1);
    running.complete(leases[0].grant.lease, "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_finds_what_was_ready_before_over_all_partitions() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    let mut ids = Vec::new();
    for n in 0..200u8 {
        let id = stint_core::ExecutionId::fresh(START, stint_core::PartitionId(n % 64), u128::from(n));
        running.submit(submission(id)).await;
        ids.push(id);
    }
    drop(running);
    // After a restart nothing is at hand: what the leases carry is read from the store.
    let running = open(&store.handle(2), "a").await;
    let mut got = Vec::new();
    while got.len() < ids.len() {
        let leases = get(&running, 50, 5).await;
        assert!(!leases.is_empty());
        assert!(leases.iter().all(|lease| &lease.input[..] == b"{}"));
        got.extend(leases.iter().map(|lease| lease.grant.lease.execution));
    }
    got.sort();
    ids.sort();
    assert_eq!(got, ids);
    assert!(get(&running, 1, 1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_time_is_not_offered_over_and_over() {
    let store = store(true, None);
    let running = Arc::new(open(&store, "a").await);
    let (late, good) = (id(), id());
    let policy = stint_core::model::Policy { queue_ttl_ms: Some(500), ..stint_core::model::DEFAULT_POLICY };
    running.submit(stint_core::command::Submission { policy, ..submission(late) }).await;
    // While a commit hangs the clock does nothing, so what is out of time stays where it is.
    let (lasting, kind) = (Duration::from_secs(10), OutageKind::Hang);
    let partition = Some(stint_store::PartitionId(HERE.0));
    store.outage(Outage { handle: None, partition, lasting, kind });
    let submitting = tokio::spawn({
        let running = running.clone();
        async move { running.submit(submission(good)).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let leases = get(&running, 2, 4).await;
    assert!(leases.len() <= 1, "{leases:?}");
    submitting.await.unwrap();
    let leases: Vec<_> = leases.into_iter().chain(get(&running, 2, 20).await).collect();
    let ids: Vec<_> = leases.iter().map(|lease| lease.grant.lease.execution).collect();
    assert_eq!(ids, [good]);
    assert_eq!(running.show(late).await.execution.state(), State::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_lease_carries_a_large_input_and_its_journal() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    let id = id();
    let large = "x".repeat(5_000);
    let mut item = submission(id);
    item.input = payload(&large);
    running.submit(item).await;
    let lease = get(&running, 1, 5).await.remove(0);
    assert_eq!(lease.input, large.as_bytes());
    assert!(lease.steps.is_empty());
    let lease = lease.grant.lease;
    for step in ["one", "two"] {
        let begin = BeginStep { lease, key: step.to_owned() };
        running.node.call(HERE, Command::BeginStep(begin)).await.unwrap();
    }
    let record = RecordStep { lease, key: "one".to_owned(), output: payload("11") };
    running.node.call(HERE, Command::RecordStep(record)).await.unwrap();
    let released = running.node.call(HERE, Command::Release(Release { lease, unfinished: false })).await;
    assert_eq!(released, Ok(Outcome::Ended(State::Ready)));
    let again = get(&running, 1, 5).await.remove(0);
    let steps: Vec<_> = again.steps.iter().map(|(key, step)| (key.as_str(), step.result.is_some())).collect();
    assert_eq!(steps, [("one", true), ("two", false)]);
    assert_eq!(again.input, large.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn leases_that_nobody_waits_for_go_back_without_an_attempt() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    let parked = running.hub.park(wanted(3));
    for _ in 0..3 {
        running.submit(submission(id())).await;
    }
    drop(parked);
    let leases = get(&running, 5, 5).await;
    assert_eq!(leases.len(), 3);
    assert!(leases.iter().all(|lease| lease.grant.attempt == 1));
}

#[tokio::test(start_paused = true)]
async fn no_work_is_lost_or_leased_twice_while_two_nodes_conflict() {
    for seed in 0..20 {
        let rates = Rates {
            lost_reply: 50,
            rival: 50,
            unavailable: 30,
            slow: 30,
            slow_ms_max: 1_500,
            always_us_max: 2_000,
            ..Rates::default()
        };
        let store = store(false, Some(Box::new(SeededFaults::new(seed, rates))));
        store.calm(true);
        let mut follow = config("a");
        follow.follow_every = Some(Duration::from_millis(500));
        let a = open_with(&store.handle(1), follow.clone()).await;
        follow.node = "b".to_owned();
        follow.seed = Some(seed + 1_000);
        let b = open_with(&store.handle(2), follow).await;
        store.calm(false);
        let total = 60;
        let work = async |running: &Running| {
            let mut done = Vec::new();
            for _ in 0..40 {
                for lease in get(running, 4, 2).await {
                    let lease = lease.grant.lease;
                    let ended = running.complete(lease, "1").await;
                    if ended.is_err() {
                        let shown = running.show(lease.execution).await;
                        panic!(
                            "seed {seed}: {ended:?} {lease:?} {:?} {:?}",
                            shown.execution,
                            shown.execution.history()
                        );
                    }
                    done.push(lease.execution);
                }
            }
            done
        };
        let submit = async {
            for n in 0..total {
                let node = if n % 2 == 0 { &a } else { &b };
                let mut item = submission(id());
                item.policy = lease_ttl(Duration::from_secs(3_600));
                node.submit(item).await;
            }
        };
        let (mut done, more, ()) = tokio::join!(work(&a), work(&b), submit);
        done.extend(more);
        done.sort();
        let all = done.len();
        done.dedup();
        assert_eq!((done.len(), all), (total, total), "seed {seed}");
        store.calm(true);
        tokio::time::sleep(Duration::from_secs(2)).await;
        agrees(&a, &store).await;
        agrees(&b, &store).await;
    }
}
