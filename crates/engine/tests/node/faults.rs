//! What is promised while the store does not work as it should.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use stint_core::command::{Heartbeat, Outcome};
use stint_core::event::decode_log;
use stint_core::model::State;
use stint_core::{Command, EventKind};
use stint_engine::CallError;
use stint_store::memory::{Outage, OutageKind, Rates, SeededFaults};
use stint_store::{PartitionId, Room, Store};

use crate::broken::Broken;
use crate::support::*;

const STORED: PartitionId = PartitionId(HERE.0);

#[tokio::test(start_paused = true)]
async fn two_nodes_on_one_store_see_each_others_work() {
    let store = store(false, None);
    let (a, b) = (open(&store.handle(1), "a").await, open(&store.handle(2), "b").await);
    for round in 0..20 {
        let (one, two) = (id(), id());
        a.submit(submission(one)).await;
        b.submit(submission(two)).await;
        assert_eq!(b.show(one).await.execution.state(), State::Ready);
        let (from, to) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let grants = from.claim(2).await;
        assert_eq!(grants.len(), 2);
        for grant in grants {
            assert_eq!(to.complete(grant.lease, "1").await, Ok(Outcome::Ended(State::Completed)));
        }
        assert_eq!(a.show(two).await.execution.state(), State::Completed);
    }
    assert!(a.node.stats().conflicts > 0);
    agrees(&a, &store).await;
    agrees(&b, &store).await;
}

#[tokio::test(start_paused = true)]
async fn a_derived_id_is_accepted_once_by_two_nodes() {
    let store = store(false, None);
    let (a, b) = (open(&store.handle(1), "a").await, open(&store.handle(2), "b").await);
    let mut item = submission(id());
    item.derived = true;
    assert!(!a.submit(item.clone()).await.existed);
    let grants = a.claim(1).await;
    a.complete(grants[0].lease, "1").await.unwrap();
    // The spec is cold: neither node has it in its projection, and the commit finds it present.
    for node in [&b, &a] {
        let again = node.submit(item.clone()).await;
        assert!(again.existed && again.state == State::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_the_store_is_survived() {
    for seed in 0..30 {
        let rates = Rates {
            unavailable: 30,
            lost_request: 30,
            lost_reply: 40,
            late: 20,
            repeat: 20,
            rival: 30,
            too_old: 200,
            slow: 50,
            slow_ms_max: 3_000,
            always_us_max: 2_000,
            full: 0,
        };
        let store = store(false, Some(Box::new(SeededFaults::new(seed, rates))));
        store.calm(true);
        let (a, b) = (open(&store.handle(1), "a").await, open(&store.handle(2), "b").await);
        store.calm(false);
        let mut ids = Vec::new();
        for _ in 0..6 {
            let round: Vec<_> = (0..5).map(|_| id()).collect();
            let submitted = round.iter().enumerate().map(|(n, id)| {
                let node = if n % 2 == 0 { &a } else { &b };
                let mut item = submission(*id);
                item.derived = n % 3 == 0;
                item.policy = lease_ttl(Duration::from_secs(3_600));
                node.submit(item)
            });
            futures_util::future::join_all(submitted).await;
            ids.extend(round);
            let (ga, gb) = tokio::join!(a.claim(3), b.claim(3));
            let ended = ga.iter().chain(&gb).enumerate().map(|(n, grant)| {
                let node = if n % 2 == 0 { &b } else { &a };
                node.complete(grant.lease, "1")
            });
            for ended in futures_util::future::join_all(ended).await {
                assert_eq!(ended, Ok(Outcome::Ended(State::Completed)), "seed {seed}");
            }
        }
        loop {
            let grants = a.claim(50).await;
            if grants.is_empty() {
                break;
            }
            for grant in grants {
                assert_eq!(
                    b.complete(grant.lease, "1").await,
                    Ok(Outcome::Ended(State::Completed)),
                    "seed {seed}"
                );
            }
        }
        store.calm(true);
        for id in ids {
            let shown = a.show(id).await.execution;
            assert_eq!((shown.state(), shown.attempt), (State::Completed, 1), "seed {seed}");
        }
        agrees(&a, &store).await;
        b.show(id_of_nothing(&b).await).await;
        agrees(&b, &store).await;
    }
}

/// A command that makes the node look at the store.
async fn id_of_nothing(node: &Running) -> stint_core::ExecutionId {
    let id = id();
    node.submit(submission(id)).await;
    id
}

#[tokio::test(start_paused = true)]
async fn lost_writes_begin_a_new_timeline_and_are_said() {
    let store = store(false, None);
    let running = open(&store.handle(1), "a").await;
    for _ in 0..5 {
        running.submit(submission(id())).await;
    }
    let before = store.head(STORED);
    assert_eq!(store.lose(STORED, 3), 3);
    let after = id();
    running.submit(submission(after)).await;
    let head = store.head(STORED);
    assert_eq!(head.timeline, before.timeline + 1);
    let said = store
        .dump(STORED)
        .ordered
        .iter()
        .filter(|(key, _)| key[0] == b'g')
        .any(|(_, log)| decode_log(log).unwrap().iter().any(|event| event.kind == EventKind::WritesLost));
    assert!(said);
    assert_eq!(running.claim(9).await.len(), 3);
    agrees(&running, &store).await;
}

#[tokio::test(start_paused = true)]
async fn another_identity_begins_new_timelines_at_the_next_start() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    running.submit(submission(id())).await;
    drop(running);
    store.set_identity("restored");
    let running = open(&store.handle(2), "a").await;
    running.submit(submission(id())).await;
    assert_eq!(store.head(STORED).timeline, 1);
    // Every partition has begun its own by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(running);
    let running = open(&store.handle(3), "a").await;
    running.submit(submission(id())).await;
    assert_eq!(store.head(STORED).timeline, 1);
}

#[tokio::test(start_paused = true)]
async fn another_identity_is_not_forgotten_by_who_ends_before_the_new_timelines() {
    let store = store(false, None);
    open(&store, "a").await.submit(submission(id())).await;
    store.set_identity("restored");
    // This one gets as far as its heartbeat.
    let (lasting, kind) = (Duration::from_secs(60), OutageKind::Refuse);
    for partition in (0..stint_core::PARTITIONS).map(PartitionId) {
        store.outage(Outage { handle: Some(1), partition: Some(partition), lasting, kind });
    }
    drop(try_open(&store.handle(1), config("b")).await.unwrap());
    let last = open(&store.handle(2), "c").await;
    while (0..stint_core::PARTITIONS).any(|p| store.head(PartitionId(p)).timeline == 0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // From now on it is known.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(last);
    let next = open(&store.handle(3), "d").await;
    next.submit(submission(id())).await;
    assert_eq!(store.head(STORED).timeline, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_no_crash() {
    for kind in [OutageKind::Refuse, OutageKind::Hang] {
        let store = store(true, None);
        let running = open(&store, "a").await;
        let mut item = submission(id());
        item.policy = lease_ttl(Duration::from_secs(10));
        running.submit(item).await;
        let lease = running.claim(1).await[0].lease;
        // The worker's heartbeat meets a store that does not answer for far longer than the lease lasts.
        let outage = Outage { handle: None, partition: None, lasting: Duration::from_secs(60), kind };
        tokio::time::sleep(Duration::from_secs(5)).await;
        store.outage(outage);
        let beat = Command::Heartbeat(Heartbeat { lease, progress: None });
        loop {
            match running.node.call(HERE, beat.clone()).await {
                // Nobody waits so long: its worker says it again.
                Err(CallError::Store(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                renewed => break assert!(matches!(renewed, Ok(Outcome::Renewed(_))), "{renewed:?}"),
            }
        }
        tokio::time::sleep(Duration::from_secs(9)).await;
        let shown = running.show(lease.execution).await.execution;
        assert_eq!((shown.state(), shown.crashes), (State::Running, 0), "{kind:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let shown = running.show(lease.execution).await.execution;
        assert_eq!((shown.state(), shown.crashes), (State::Ready, 1), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_room_only_what_ends_work_is_taken() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    store.set_room(Room::Low);
    assert_eq!(running.try_submit(submission(id())).await, Err(CallError::DiskFull));
    assert_eq!(running.complete(lease, "1").await, Ok(Outcome::Ended(State::Completed)));
    store.set_room(Room::Enough);
    assert!(running.try_submit(submission(id())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_the_batch_and_nothing_else() {
    let rates = Rates { full: 400, always_us_max: 500, ..Rates::default() };
    let store = store(true, Some(Box::new(SeededFaults::new(3, rates))));
    store.calm(true);
    let running = open(&store, "a").await;
    store.calm(false);
    let ids: Vec<_> = (0..200).map(|_| id()).collect();
    let mut answers = Vec::new();
    for some in ids.chunks(5) {
        let tried = some.iter().map(|id| running.try_submit(submission(*id)));
        answers.extend(futures_util::future::join_all(tried).await);
    }
    let full = answers.iter().filter(|answer| **answer == Err(CallError::DiskFull)).count();
    assert!(full > 0 && full < 200, "{full}");
    store.calm(true);
    let mut kept: Vec<_> =
        ids.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(id, _)| *id).collect();
    let mut found: Vec<_> = running.claim(500).await.iter().map(|grant| grant.lease.execution).collect();
    kept.sort();
    found.sort();
    assert_eq!(found, kept);
    agrees(&running, &store).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_only_new_work() {
    let store = store(true, None);
    let mut config = config("a");
    config.queue_max = 20;
    let running = open_with(&store, config).await;
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    let lasting = Duration::from_secs(5);
    store.outage(Outage { handle: None, partition: None, lasting, kind: OutageKind::Hang });
    let submissions = futures_util::future::join_all((0..40).map(|_| running.try_submit(submission(id()))));
    let (answers, completed) = tokio::join!(submissions, running.complete(lease, "1"));
    let refused = answers.iter().filter(|answer| **answer == Err(CallError::Overloaded)).count();
    assert_eq!(refused, 20);
    assert_eq!(completed, Ok(Outcome::Ended(State::Completed)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_failed_ends_the_node() {
    let store = Broken::new(store(true, None));
    let running = try_open_any(store.clone(), config("a")).await.unwrap();
    running.submit(submission(id())).await;
    store.broken.store(true, Relaxed);
    let answer = running.try_submit(submission(id())).await;
    assert!(matches!(answer, Err(CallError::Store(_))), "{answer:?}");
    assert!(running.node.failed().await.contains("the disk is gone"));
    assert!(running.try_submit(submission(id())).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_second_node_is_refused_and_told_whose_store_it_is() {
    let store = store(false, None);
    let mut config = config("first");
    config.share = false;
    let running = open_with(&store.handle(1), config.clone()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    config.node = "second".to_owned();
    let error = try_open(&store.handle(2), config.clone()).await.unwrap_err();
    assert!(error.to_string().contains("first"), "{error}");
    config.node = "first".to_owned();
    assert!(try_open(&store.handle(2), config.clone()).await.is_err());
    // Killed and started again, it waits only until it knows that nobody else has its name.
    drop(running);
    let running = open_with(&store.handle(3), config.clone()).await;
    running.node.drain().await;
    // One that drained took its heartbeat back, so the next need not wait.
    config.node = "third".to_owned();
    open_with(&store.handle(4), config).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_a_newer_level_is_not_touched() {
    let store = store(true, None);
    let mut newer = config("a");
    newer.level = stint_core::LEVEL + 1;
    let running = open_with(&store.handle(1), newer).await;
    running.submit(submission(id())).await;
    drop(running);
    let running = try_open(&store.handle(2), config("a")).await.unwrap();
    let head = store.head(STORED);
    assert!(matches!(running.try_submit(submission(id())).await, Err(CallError::Store(_))));
    assert_eq!(store.head(STORED), head);
    assert!(store.counters().commits > 0);
}
