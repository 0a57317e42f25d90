//! The Valkey store when replies are lost and servers die: what is unknown is settled by sending it again, and
//! nothing acknowledged is ever missing.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use stint_store::valkey::{Ack, ValkeyConfig, ValkeyStore};
use stint_store::{Batch, Committed, Head, NodeId, PartitionId, Store, StoreError, Table, Write};
use stint_test_support::{Cluster, Flavour, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

async fn open(url: &str) -> Arc<ValkeyStore> {
    let config = ValkeyConfig { url: url.to_owned(), prefix: "stint".to_owned(), ack: Ack::Memory };
    ValkeyStore::open(config).await.unwrap()
}

fn batch(node: u64, expected: Head, key: String) -> Arc<Batch> {
    let version = expected.version + 1;
    let next = Head {
        version,
        nonce: version * 100 + node,
        committer: NodeId(node),
        now_ms: 1,
        level: 1,
        ..expected
    };
    let put = Write { table: Table::Live, key: key.into(), value: Some(Bytes::from_static(b"v")) };
    Arc::new(Batch { next, incarnation: 7, writes: vec![put], absent: vec![] })
}

/// A proxy that can lose what passes through it, and cut the connection then.
struct Proxy {
    port: u16,
    lose_requests: Arc<AtomicBool>,
    lose_replies: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            lose_requests: Arc::default(),
            lose_replies: Arc::default(),
        };
        let (requests, replies) = (proxy.lose_requests.clone(), proxy.lose_replies.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                tokio::spawn(pass(client, server, requests.clone(), replies.clone()));
            }
        });
        proxy
    }
}

/// Passes bytes both ways until either side ends, or until something was lost.
async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    requests: Arc<AtomicBool>,
    replies: Arc<AtomicBool>,
) {
    let (mut out, mut back) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut out) => match read {
                Ok(n) if n > 0 && !requests.load(Ordering::SeqCst) => server.write_all(&out[..n]).await.unwrap(),
                _ => return,
            },
            read = server.read(&mut back) => match read {
                Ok(n) if n > 0 && !replies.load(Ordering::SeqCst) => client.write_all(&back[..n]).await.unwrap(),
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_unknown_and_settled_by_sending_again() {
    let server = Server::start(Flavour::Valkey).unwrap();
    let proxy = Proxy::start(server.port()).await;
    let store = open(&format!("valkey://127.0.0.1:{}", proxy.port)).await;
    let direct = open(&server.url()).await;
    let (p, elsewhere) = (PartitionId(0), PartitionId(1));
    // So that the server knows the script, and what is lost is not "I don't".
    let known = batch(1, Head::default(), "k".to_owned());
    direct.commit(elsewhere, Head::default(), known).await.unwrap();
    let mut head = Head::default();
    for round in 0..3 {
        let mine = batch(1, head, format!("lost reply {round}"));
        proxy.lose_replies.store(true, Ordering::SeqCst);
        let answer = store.commit(p, head, mine.clone()).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
        assert_eq!(direct.get(p, vec![]).await.unwrap().head, mine.next, "it was applied");
        proxy.lose_replies.store(false, Ordering::SeqCst);
        if round == 1 {
            // Also below another node's commit.
            let other = batch(2, mine.next, "other".to_owned());
            assert_eq!(direct.commit(p, mine.next, other.clone()).await.unwrap(), Committed::Yes(other.next));
        }
        assert_eq!(store.commit(p, head, mine.clone()).await.unwrap(), Committed::Yes(mine.next));
        head = direct.get(p, vec![]).await.unwrap().head;
    }
}

#[tokio::test]
async fn a_lost_request_is_unknown_and_settled_by_sending_again() {
    let server = Server::start(Flavour::Redis).unwrap();
    let proxy = Proxy::start(server.port()).await;
    let store = open(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    let direct = open(&server.url()).await;
    let (p, head) = (PartitionId(0), Head::default());
    let mine = batch(1, head, "first".to_owned());
    proxy.lose_requests.store(true, Ordering::SeqCst);
    let answer = store.commit(p, head, mine.clone()).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert_eq!(direct.get(p, vec![]).await.unwrap().head, head, "it was not applied");
    proxy.lose_requests.store(false, Ordering::SeqCst);
    assert_eq!(store.commit(p, head, mine.clone()).await.unwrap(), Committed::Yes(mine.next));

    let second = batch(1, mine.next, "second".to_owned());
    proxy.lose_requests.store(true, Ordering::SeqCst);
    assert!(matches!(store.commit(p, mine.next, second.clone()).await, Err(StoreError::Unknown(_))));
    proxy.lose_requests.store(false, Ordering::SeqCst);
    let other = batch(2, mine.next, "other".to_owned());
    direct.commit(p, mine.next, other.clone()).await.unwrap();
    assert_eq!(store.commit(p, mine.next, second).await.unwrap(), Committed::Conflict(other.next));
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_comes_back() {
    let mut server = Server::start(Flavour::Valkey).unwrap();
    let store = open(&server.url()).await;
    let identity = store.identity().await.unwrap();
    let (p, head) = (PartitionId(5), Head::default());
    let mine = batch(1, head, "k".to_owned());
    server.kill();
    // The first call may find the broken connection; after it nothing is sent at all.
    let first = store.commit(p, head, mine.clone()).await;
    assert!(matches!(first, Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{first:?}");
    for _ in 0..3 {
        let answer = store.commit(p, head, mine.clone()).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert!(matches!(store.get(p, vec![]).await, Err(StoreError::Unavailable(_))));
    }
    server.restart().unwrap();
    assert_eq!(settle(&store, p, head, &mine).await, Committed::Yes(mine.next));
    assert_ne!(store.identity().await.unwrap(), identity, "a restart without persistence loses everything");
}

/// Sends a batch until it is settled.
async fn settle(store: &ValkeyStore, p: PartitionId, expected: Head, batch: &Arc<Batch>) -> Committed {
    loop {
        match store.commit(p, expected, batch.clone()).await {
            Ok(answer) => return answer,
            Err(StoreError::Unknown(_) | StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Commits one batch after the other until told to stop; returns the last head.
async fn keep_committing(store: &ValkeyStore, p: PartitionId, done: &AtomicU64, stop: &AtomicBool) -> Head {
    let mut head = Head::default();
    while !stop.load(Ordering::SeqCst) {
        let next = batch(1, head, format!("key {}", head.version + 1));
        assert_eq!(settle(store, p, head, &next).await, Committed::Yes(next.next));
        head = next.next;
        done.fetch_add(1, Ordering::SeqCst);
    }
    head
}

async fn wait_for(done: &AtomicU64, more: u64) {
    let wanted = done.load(Ordering::SeqCst) + more;
    while done.load(Ordering::SeqCst) < wanted {
        tokio::task::yield_now().await;
    }
}

async fn loaded(store: &ValkeyStore, p: PartitionId) -> usize {
    let mut keys = std::collections::BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = store.load(p, cursor).await.unwrap();
        keys.extend(page.rows.into_iter().map(|(key, _)| key));
        cursor = page.cursor;
        if cursor.is_none() {
            return keys.len();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_that_was_confirmed_by_a_server_that_syncs() {
    let mut server = Server::start_with(Flavour::Valkey, &DURABLE).unwrap();
    let store = open(&server.url()).await;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let partitions: Vec<PartitionId> = (0..8).map(PartitionId).collect();
    let writers: Vec<_> = partitions
        .iter()
        .map(|&p| {
            let (store, done, stop) = (store.clone(), done.clone(), stop.clone());
            tokio::spawn(async move { keep_committing(&store, p, &done, &stop).await })
        })
        .collect();
    for round in 0..6 {
        wait_for(&done, 100 + round * 37).await;
        server.kill();
        server.restart().unwrap();
    }
    wait_for(&done, 100).await;
    stop.store(true, Ordering::SeqCst);
    let mut versions = 0;
    for (writer, p) in writers.into_iter().zip(partitions) {
        let head = writer.await.unwrap();
        assert_eq!(store.get(p, vec![]).await.unwrap().head, head);
        assert_eq!(loaded(&store, p).await as u64, head.version);
        versions += head.version;
    }
    assert_eq!(versions, done.load(Ordering::SeqCst), "each batch applied exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_node_that_dies_and_returns_loses_nothing_and_repeats_nothing() {
    let mut cluster = Cluster::start_with(Flavour::Valkey, 3, &DURABLE).unwrap();
    let store = open(&cluster.url()).await;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let partitions: Vec<PartitionId> = (0..12).map(PartitionId).collect();
    let writers: Vec<_> = partitions
        .iter()
        .map(|&p| {
            let (store, done, stop) = (store.clone(), done.clone(), stop.clone());
            tokio::spawn(async move { keep_committing(&store, p, &done, &stop).await })
        })
        .collect();
    for node in 0..3 {
        wait_for(&done, 200).await;
        cluster.nodes_mut()[node].kill();
        cluster.nodes_mut()[node].restart().unwrap();
        cluster.wait_until_up().unwrap();
    }
    wait_for(&done, 500).await;
    stop.store(true, Ordering::SeqCst);
    let mut versions = 0;
    for (writer, p) in writers.into_iter().zip(partitions) {
        let head = writer.await.unwrap();
        assert_eq!(store.get(p, vec![]).await.unwrap().head, head);
        assert_eq!(loaded(&store, p).await as u64, head.version);
        versions += head.version;
    }
    assert_eq!(versions, done.load(Ordering::SeqCst), "each batch applied exactly once");
}

#[tokio::test]
async fn what_a_server_without_persistence_forgot_is_a_conflict() {
    let mut server = Server::start(Flavour::Valkey).unwrap();
    let store = open(&server.url()).await;
    let p = PartitionId(9);
    let first = batch(1, Head::default(), "a".to_owned());
    assert_eq!(store.commit(p, Head::default(), first.clone()).await.unwrap(), Committed::Yes(first.next));
    server.kill();
    server.restart().unwrap();
    let second = batch(1, first.next, "b".to_owned());
    assert_eq!(settle(&store, p, first.next, &second).await, Committed::Conflict(Head::default()));
}

#[tokio::test]
async fn a_server_that_stands_still_is_unknown_and_may_still_apply() {
    let server = Server::start(Flavour::Valkey).unwrap();
    let store = open(&server.url()).await;
    let (p, head) = (PartitionId(1), Head::default());
    let mine = batch(1, head, "k".to_owned());
    server.pause().unwrap();
    let answer = store.commit(p, head, mine.clone()).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    server.resume().unwrap();
    assert_eq!(settle(&store, p, head, &mine).await, Committed::Yes(mine.next));
    assert_eq!(loaded(&store, p).await, 1);
}
