//! The store in memory: the conformance suite, and every fault it can inject.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use stint_store::conformance::{self, Fixture, Harness, script};
use stint_store::memory::{
    Fault, FaultPlan, MemoryConfig, MemoryStore, Op, Outage, OutageKind, Rates, SeededFaults, StoreClock,
    Trouble,
};
use stint_store::{
    Batch, Changes, Committed, Head, NodeId, PartitionId, Room, Store, StoreError, Table, Write,
};

const P: PartitionId = PartitionId(3);

struct Memory;

struct Handles {
    store: MemoryStore,
    peer: MemoryStore,
}

impl Harness for Memory {
    fn fresh(&self) -> BoxFuture<'_, Box<dyn Fixture>> {
        let store = MemoryStore::new(MemoryConfig { load_rows: 100, ..MemoryConfig::default() });
        let peer = store.handle(1);
        async move { Box::new(Handles { store, peer }) as Box<dyn Fixture> }.boxed()
    }
}

impl Fixture for Handles {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn peer(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(self.peer.clone()))
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }
}

#[tokio::test]
async fn conforms() {
    conformance::run(&Memory).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(steps in proptest::collection::vec(any::<script::Step>(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Memory.fresh().await;
            script::play(fixture.as_mut(), &steps).await
        }).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
    }
}

/// A plan that strikes once per entry, in order, then never again.
#[derive(Debug)]
struct Scripted(Vec<Trouble>);

impl FaultPlan for Scripted {
    fn decide(&mut self, _: Op) -> Fault {
        let trouble = if self.0.is_empty() { Trouble::None } else { self.0.remove(0) };
        Fault { trouble, ..Fault::default() }
    }
}

fn troubled(troubles: Vec<Trouble>) -> MemoryStore {
    MemoryStore::new(MemoryConfig {
        clock: StoreClock::Virtual(1_000_000),
        faults: Some(Box::new(Scripted(troubles))),
        history: 100,
        ..MemoryConfig::default()
    })
}

fn batch(expected: Head, nonce: u64, value: &str) -> Arc<Batch> {
    let next = Head { version: expected.version + 1, nonce, committer: NodeId(1), ..expected };
    let writes = vec![Write {
        table: Table::Live,
        key: Bytes::from_static(b"k"),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }];
    Arc::new(Batch { next, incarnation: 9, writes, absent: Vec::new() })
}

fn value(store: &MemoryStore) -> Option<String> {
    store.dump(P).live.get(&b"k"[..]).map(|v| String::from_utf8_lossy(v).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_settled_by_the_same_batch() {
    let store = troubled(vec![Trouble::LostReply, Trouble::LostRequest]);
    let first = batch(Head::default(), 1, "1");
    for settled in [false, false, true] {
        let answer = store.commit(P, Head::default(), first.clone()).await;
        match settled {
            false => assert!(matches!(answer, Err(StoreError::Unknown(_)))),
            true => assert_eq!(answer, Ok(Committed::Yes(first.next))),
        }
        assert_eq!(store.dump(P).head, first.next, "applied by the first send, once");
    }
    assert_eq!(store.counters().commits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_never_happened() {
    let store = troubled(vec![Trouble::LostRequest]);
    let first = batch(Head::default(), 1, "1");
    assert!(matches!(store.commit(P, Head::default(), first.clone()).await, Err(StoreError::Unknown(_))));
    assert_eq!(store.dump(P).head, Head::default());
    assert_eq!(store.commit(P, Head::default(), first.clone()).await, Ok(Committed::Yes(first.next)));
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_arrives_minutes_later_if_it_still_may() {
    let late = Duration::from_secs(300);
    let store = troubled(vec![Trouble::Late(late), Trouble::None, Trouble::Late(late)]);
    let first = batch(Head::default(), 1, "late");
    assert!(matches!(store.commit(P, Head::default(), first.clone()).await, Err(StoreError::Unknown(_))));
    tokio::time::sleep(late - Duration::from_millis(1)).await;
    assert_eq!(value(&store), None);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(value(&store).as_deref(), Some("late"), "nothing else came, so it still applies");

    let second = batch(first.next, 2, "second");
    assert_eq!(store.commit(P, first.next, second.clone()).await, Ok(Committed::Yes(second.next)));
    let third = batch(second.next, 3, "third, late");
    assert!(matches!(store.commit(P, second.next, third.clone()).await, Err(StoreError::Unknown(_))));
    assert_eq!(store.commit(P, second.next, third.clone()).await, Ok(Committed::Yes(third.next)), "settled");
    let fourth = batch(third.next, 4, "fourth");
    store.commit(P, third.next, fourth.clone()).await.unwrap();
    tokio::time::sleep(late * 2).await;
    assert_eq!(store.dump(P).head, fourth.next, "the late one never applies again");
    assert_eq!(value(&store).as_deref(), Some("fourth"));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_commit_applies_once() {
    let store = troubled(vec![Trouble::Repeat(Duration::from_secs(60))]);
    let first = batch(Head::default(), 1, "1");
    assert_eq!(store.commit(P, Head::default(), first.clone()).await, Ok(Committed::Yes(first.next)));
    let second = batch(first.next, 2, "2");
    store.commit(P, first.next, second.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((store.dump(P).head, value(&store).as_deref()), (second.next, Some("2")));
}

#[tokio::test(start_paused = true)]
async fn refusals_happen_to_nothing() {
    let rival = Trouble::Rival { node: NodeId(77), nonce: 5 };
    let store = troubled(vec![Trouble::Unavailable, Trouble::Full, rival]);
    let first = batch(Head::default(), 1, "1");
    assert!(matches!(store.commit(P, Head::default(), first.clone()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.commit(P, Head::default(), first.clone()).await, Err(StoreError::Full(_))));
    assert_eq!(store.dump(P).head, Head::default());
    let Ok(Committed::Conflict(head)) = store.commit(P, Head::default(), first).await else {
        panic!("a rival's commit is a conflict");
    };
    assert_eq!((head.committer, head.version, value(&store)), (NodeId(77), 1, None));
}

#[tokio::test(start_paused = true)]
async fn the_last_commits_of_one_partition_can_be_lost() {
    let store = troubled(Vec::new());
    let other = PartitionId(4);
    let mut heads = vec![Head::default()];
    for n in 1..=10 {
        let expected = *heads.last().unwrap();
        let next = batch(expected, n, &n.to_string());
        store.commit(P, expected, next.clone()).await.unwrap();
        store.commit(other, expected, next.clone()).await.unwrap();
        heads.push(next.next);
    }
    assert_eq!(store.lose(P, 3), 3);
    assert_eq!((store.dump(P).head, value(&store).as_deref()), (heads[7], Some("7")));
    assert_eq!(store.dump(other).head, heads[10], "the other partition keeps all");
    assert_eq!(store.changes(P, heads[10]).await, Ok(Changes::TooOld));
    assert!(matches!(store.changes(P, heads[5]).await, Ok(Changes::Since { head, .. }) if head == heads[7]));

    // What was lost and comes again applies again; nothing remembers that it had been there.
    let eighth = batch(heads[7], 8, "8");
    assert_eq!(store.commit(P, heads[7], eighth.clone()).await, Ok(Committed::Yes(eighth.next)));
    assert_eq!(store.lose(P, 100), 8, "as far as the history goes");
    assert_eq!(store.dump(P), Default::default());
}

#[tokio::test(start_paused = true)]
async fn changes_are_kept_for_a_thousand_batches() {
    let store = troubled(Vec::new());
    let mut heads = vec![Head::default()];
    for n in 1..=6_000 {
        let expected = *heads.last().unwrap();
        let next = batch(expected, n, "v");
        store.commit(P, expected, next.clone()).await.unwrap();
        heads.push(next.next);
    }
    assert!(
        matches!(store.changes(P, heads[5_000]).await, Ok(Changes::Since { rows, .. }) if rows.len() == 1)
    );
    assert_eq!(store.changes(P, heads[10]).await, Ok(Changes::TooOld));
}

#[tokio::test(start_paused = true)]
async fn outages_refuse_or_hang() {
    let store = troubled(Vec::new());
    let second = store.handle(2);
    let outage = |kind| Outage { handle: Some(2), partition: None, lasting: Duration::from_secs(30), kind };
    store.outage(outage(OutageKind::Refuse));
    assert!(second.get(P, Vec::new()).await.is_err());
    assert!(store.get(P, Vec::new()).await.is_ok(), "only the named handle is cut off");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(second.get(P, Vec::new()).await.is_ok());

    store.outage(outage(OutageKind::Hang));
    let before = tokio::time::Instant::now();
    assert!(second.get(P, Vec::new()).await.is_ok());
    assert_eq!(before.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn clock_room_and_identity_change_on_demand() {
    let store = troubled(Vec::new());
    assert_eq!(store.clock().await, Ok(1_000_000));
    tokio::time::sleep(Duration::from_secs(5)).await;
    store.jump_clock(-10_000);
    assert_eq!(store.clock().await, Ok(995_000));
    store.set_room(Room::Low);
    assert_eq!(store.handle(1).room(), Room::Low);
    store.set_identity("restored");
    assert_eq!(store.identity().await.as_deref(), Ok("restored"));
}

/// Three nodes commit through every fault at once, each settling what is unknown before it goes on. What they were
/// told was committed is what the store holds, and the same seed is the same history.
#[tokio::test(start_paused = true)]
async fn seeded_faults_never_break_a_settled_answer() {
    let rates = Rates {
        unavailable: 50,
        full: 20,
        lost_request: 60,
        lost_reply: 60,
        late: 60,
        repeat: 60,
        rival: 20,
        too_old: 50,
        slow: 100,
        slow_ms_max: 2_000,
        always_us_max: 800,
    };
    let play = |seed: u64| async move {
        let store = MemoryStore::new(MemoryConfig {
            clock: StoreClock::Virtual(0),
            faults: Some(Box::new(SeededFaults::new(seed, rates))),
            ..MemoryConfig::default()
        });
        let nodes = (1..=3).map(|node| {
            let store = store.handle(node);
            async move {
                let (mut at, mut confirmed, mut nonce) = (Head::default(), 0_u64, node << 32);
                while confirmed < 100 {
                    nonce += 1;
                    let next = Head { version: at.version + 1, nonce, committer: NodeId(node), ..at };
                    let key = Bytes::from(format!("{node} {confirmed}"));
                    let writes = vec![Write { table: Table::Live, key, value: Some(Bytes::new()) }];
                    let batch = Arc::new(Batch { next, incarnation: node, writes, absent: Vec::new() });
                    at = loop {
                        match store.commit(P, at, batch.clone()).await {
                            Ok(Committed::Yes(head)) => {
                                confirmed += 1;
                                break head;
                            }
                            Ok(Committed::Conflict(head)) => break head,
                            Ok(Committed::Present(_)) => panic!("nothing was to be absent"),
                            Err(_) => {}
                        }
                    };
                }
            }
        });
        futures_util::future::join_all(nodes).await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        store.dump(P)
    };
    let mut histories = Vec::new();
    for seed in [1, 1, 2, 3, 4, 5] {
        let dump = play(seed).await;
        assert_eq!(dump.live.len(), 300, "seed {seed}: each confirmed batch is there, and nothing else");
        histories.push(dump);
    }
    assert_eq!(histories[0], histories[1], "the same seed is the same history");
    assert_ne!(histories[1], histories[2]);
}
