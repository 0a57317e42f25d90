//! Retention: what has outlived it goes, with all that hangs on it.

use std::time::Duration;

use stint_core::command::BeginStep;
use stint_core::model::{DEFAULT_POLICY, Policy};
use stint_core::{Command, ExecutionId};
use stint_store::Store;
use stint_store::memory::MemoryStore;

use crate::support::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn finish(running: &Running, policy: Policy) -> ExecutionId {
    let id = id();
    let mut item = submission(id);
    item.policy = policy;
    item.tags = vec![("team".to_owned(), "red".to_owned())];
    running.submit(item).await;
    let lease = running.claim(1).await[0].lease;
    let begin = BeginStep { lease, key: "one".to_owned() };
    running.node.call(HERE, Command::BeginStep(begin)).await.unwrap();
    running.complete(lease, &"y".repeat(3_000)).await.unwrap();
    id
}

/// Records left that are not the log's or a lane's.
fn left(store: &MemoryStore) -> usize {
    let dump = store.dump(stint_store::PartitionId(HERE.0));
    dump.live.len() + dump.cold.len() + dump.ordered.keys().filter(|key| key[0] != b'g').count()
}

#[tokio::test(start_paused = true)]
async fn everything_goes_when_its_retention_is_over_and_not_before() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    finish(&running, DEFAULT_POLICY).await;
    let short = Policy { retention_ms: Some(60_000), ..DEFAULT_POLICY };
    let short = finish(&running, short).await;
    let long = Policy { retention_ms: Some(30 * 24 * 3_600_000), ..DEFAULT_POLICY };
    finish(&running, long).await;
    assert!(running.try_show(short).await.is_ok());
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(running.try_show(short).await.is_ok());
    let all = left(&store);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(running.try_show(short).await.is_err());
    // The two with a retention of their own have one index record more.
    let each = (all - 2) / 3;
    // Its id is known for an hour.
    assert_eq!(left(&store), 2 * each + 1 + 2);
    tokio::time::sleep(DAY * 6).await;
    assert_eq!(left(&store), 2 * each + 1);
    tokio::time::sleep(DAY * 2).await;
    assert_eq!(left(&store), each + 1);
    tokio::time::sleep(DAY * 23).await;
    assert_eq!(left(&store), 0);
    let commits = store.counters().commits;
    tokio::time::sleep(DAY * 10).await;
    assert_eq!(store.counters().commits, commits);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_while_nobody_serves_goes_after_the_next_start() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    for _ in 0..450 {
        finish(&running, DEFAULT_POLICY).await;
    }
    drop(running);
    tokio::time::sleep(DAY * 8).await;
    let _running = open(&store.handle(2), "a").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(left(&store), 0);
}

#[tokio::test(start_paused = true)]
async fn the_log_is_kept_a_day() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let logged =
        || store.dump(stint_store::PartitionId(HERE.0)).ordered.keys().filter(|key| key[0] == b'g').count();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(logged(), 1);
    tokio::time::sleep(DAY * 2).await;
    for _ in 0..3 {
        running.submit(submission(id())).await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    assert_eq!(logged(), 3);
}
