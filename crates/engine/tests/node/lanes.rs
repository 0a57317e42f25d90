//! Lane settings reach every partition by messages, also when some partitions forget.

use std::time::Duration;

use stint_core::command::{LaneChange, Outcome, SetLane};
use stint_core::model::LaneMode;
use stint_core::{Command, PartitionId};

use crate::support::*;

async fn set(running: &Running, mode: LaneMode) {
    let home = SetLane::home("default", "default");
    let change = LaneChange::Mode(mode);
    let set = SetLane {
        namespace: "default".into(),
        lane: "default".into(),
        change,
        id: running.node.random() as u64,
    };
    let answer = running.node.call(home, Command::SetLane(set)).await;
    assert!(matches!(answer, Ok(Outcome::Lane(_))), "{answer:?}");
}

async fn modes(running: &Running) -> Vec<LaneMode> {
    let mut modes = Vec::new();
    for partition in PartitionId::all() {
        modes.push(running.node.look(partition, |p| p.lane("default", "default").mode).await.unwrap());
    }
    modes
}

#[tokio::test(start_paused = true)]
async fn settings_reach_all_partitions_and_the_outbox_empties() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    set(&running, LaneMode::Paused).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(modes(&running).await.iter().all(|mode| *mode == LaneMode::Paused));
    running.submit(submission(id())).await;
    assert!(running.claim(1).await.is_empty());
    set(&running, LaneMode::Open).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(running.claim(1).await.len(), 1);
    // What was taken is dropped a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let home = SetLane::home("default", "default");
    let left = running.node.look(home, |p| p.outgoing().count()).await.unwrap();
    assert_eq!(left, 0);
    drop(running);
    let running = open(&store.handle(2), "a").await;
    assert!(modes(&running).await.iter().all(|mode| *mode == LaneMode::Open));
}

#[tokio::test(start_paused = true)]
async fn messages_are_sent_again_after_a_restart() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    set(&running, LaneMode::Paused).await;
    // The change is committed, and nothing has been delivered yet.
    drop(running);
    let running = open(&store.handle(2), "a").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(modes(&running).await.iter().all(|mode| *mode == LaneMode::Paused));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_lost_its_copy_gets_it_again() {
    let store = store(false, None);
    let running = open(&store.handle(1), "a").await;
    // The first message of the chain is known to both; the second is lost by the receiver after it was acknowledged.
    set(&running, LaneMode::Draining).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    set(&running, LaneMode::Paused).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let peer = PartitionId::all().find(|p| *p != SetLane::home("default", "default")).unwrap();
    assert_eq!(store.lose(stint_store::PartitionId(peer.0), 1), 1);
    let one = stint_core::ExecutionId::fresh(START, peer, 1);
    // The lane drains there, as far as that partition remembers: a refusal that still finds out what was lost.
    let submitted = running
        .node
        .call(peer, Command::Submit(stint_core::command::Submit { items: vec![submission(one)] }));
    submitted.await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(modes(&running).await.iter().all(|mode| *mode == LaneMode::Paused));
}

#[tokio::test(start_paused = true)]
async fn a_copy_lost_with_nobody_to_remember_it_comes_back_without_a_change() {
    let store = store(false, None);
    let running = open(&store.handle(1), "a").await;
    set(&running, LaneMode::Paused).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    set(&running, LaneMode::Open).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(running);
    let peer = PartitionId::all().find(|p| *p != SetLane::home("default", "default")).unwrap();
    assert_eq!(store.lose(stint_store::PartitionId(peer.0), 1), 1);
    let running = open(&store.handle(2), "b").await;
    assert_eq!(modes(&running).await[usize::from(peer.0)], LaneMode::Paused);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(modes(&running).await.iter().all(|mode| *mode == LaneMode::Open));
}
