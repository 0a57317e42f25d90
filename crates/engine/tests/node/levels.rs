//! A rolling upgrade: partitions are raised to a level when every live node announces it, and not before.

use std::sync::Arc;
use std::time::Duration;

use stint_core::LEVEL;
use stint_core::model::State;
use stint_engine::{CallError, EngineConfig};
use stint_store::memory::{MemoryStore, Outage, OutageKind};
use stint_store::{META, PartitionId};

use crate::forwarding::Wire;
use crate::support::*;

/// Longer than a node lives on without a heartbeat, and than the others take to see it.
const SILENCE: Duration = Duration::from_secs(10);

fn level_of(store: &MemoryStore) -> u32 {
    store.head(PartitionId(HERE.0)).level
}

fn at_level(name: &str, level: u32) -> EngineConfig {
    EngineConfig { level, ..config(name) }
}

#[tokio::test(start_paused = true)]
async fn a_level_rises_when_every_live_node_announces_it() {
    let store = store(false, None);
    let older = open_with(&store.handle(1), at_level("a", LEVEL)).await;
    older.submit(submission(id())).await;
    let newer = open_with(&store.handle(2), at_level("b", LEVEL + 1)).await;
    newer.submit(submission(id())).await;
    tokio::time::sleep(SILENCE).await;
    newer.submit(submission(id())).await;
    assert_eq!(level_of(&store), LEVEL, "a node that does not know the newer one is alive");
    older.submit(submission(id())).await;

    // The older node ends, and comes back as a newer one.
    older.node.drain().await;
    let upgraded = open_with(&store.handle(3), at_level("a", LEVEL + 1)).await;
    tokio::time::sleep(SILENCE).await;
    let commits = store.head(PartitionId(HERE.0)).version;
    newer.show(newer.claim(1).await[0].lease.execution).await;
    assert_eq!(level_of(&store), LEVEL + 1);
    assert_eq!(store.head(PartitionId(HERE.0)).version, commits + 1, "raising it takes no commit of its own");
    upgraded.submit(submission(id())).await;
    agrees(&upgraded, &store).await;
}

#[tokio::test(start_paused = true)]
async fn nodes_that_begin_together_agree_at_once() {
    let store = store(false, None);
    let a = open_with(&store.handle(1), at_level("a", LEVEL + 1)).await;
    let b = open_with(&store.handle(2), at_level("b", LEVEL + 1)).await;
    b.submit(submission(id())).await;
    assert_eq!(level_of(&store), LEVEL + 1);
    a.submit(submission(id())).await;
}

#[tokio::test(start_paused = true)]
async fn an_older_node_that_was_not_heard_sends_its_callers_on() {
    let store = store(false, None);
    let wire = Arc::new(Wire::default());
    let older = EngineConfig { peers: Some(wire.clone()), ..at_level("older", LEVEL) };
    let older = open_with(&store.handle(1), older).await;
    let newer = open_with(&store.handle(2), at_level("newer", LEVEL + 1)).await;
    *wire.to.lock().unwrap() = Some((EngineConfig::node_id("newer"), newer.node.clone()));
    // Its heartbeats fail, so it is taken for dead; all else of it works.
    let (lasting, kind) = (SILENCE, OutageKind::Refuse);
    store.outage(Outage { handle: Some(1), partition: Some(META), lasting, kind });
    tokio::time::sleep(SILENCE).await;
    newer.submit(submission(id())).await;
    assert_eq!(level_of(&store), LEVEL + 1);
    let refused = older.try_submit(submission(id())).await;
    assert!(matches!(refused, Err(CallError::Store(_))), "{refused:?}");
    let id = id();
    older.submit(submission(id)).await;
    assert_eq!(newer.show(id).await.execution.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn nodes_whose_heartbeats_meet_are_all_heard() {
    let store = store(false, None);
    let mut nodes = Vec::new();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        nodes.push(try_open(&store.handle(number as u64 + 1), config(name)).await.unwrap());
    }
    tokio::time::sleep(SILENCE).await;
    let before = store.head(META).version;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let beats = store.head(META).version - before;
    assert!((36..=44).contains(&beats), "{beats} heartbeats of four nodes in 20 s");
}
