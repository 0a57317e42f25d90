//! The Valkey store on real servers: the conformance suite, servers that won't do, full servers, forgotten scripts.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use stint_store::conformance::{self, Fixture, Harness, script};
use stint_store::valkey::{Ack, ValkeyConfig, ValkeyStore};
use stint_store::{
    Batch, Changes, Committed, Head, NodeId, PartitionId, Room, Store, StoreError, Table, Write,
};
use stint_test_support::{Cluster, Flavour, Server};

const P: PartitionId = PartitionId(3);

/// One server for all cases; each gets a prefix of its own.
struct OnServer {
    url: String,
    next: AtomicU64,
}

struct Handles {
    config: ValkeyConfig,
    store: Arc<ValkeyStore>,
    peer: Arc<ValkeyStore>,
}

impl OnServer {
    fn new(url: String) -> Self {
        Self { url, next: AtomicU64::new(0) }
    }
}

impl Harness for OnServer {
    fn fresh(&self) -> BoxFuture<'_, Box<dyn Fixture>> {
        async move {
            let case = self.next.fetch_add(1, Ordering::Relaxed);
            let config = config(&self.url, &format!("case{case}"));
            let store = ValkeyStore::open(config.clone()).await.unwrap();
            let peer = ValkeyStore::open(config.clone()).await.unwrap();
            Box::new(Handles { config, store, peer }) as Box<dyn Fixture>
        }
        .boxed()
    }
}

impl Fixture for Handles {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn peer(&self) -> Option<Arc<dyn Store>> {
        Some(self.peer.clone())
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        async move {
            self.store.close().await.unwrap();
            self.store = ValkeyStore::open(self.config.clone()).await.unwrap();
            true
        }
        .boxed()
    }
}

fn config(url: &str, prefix: &str) -> ValkeyConfig {
    ValkeyConfig { url: url.to_owned(), prefix: prefix.to_owned(), ack: Ack::Memory }
}

async fn open(server: &Server) -> Arc<ValkeyStore> {
    ValkeyStore::open(config(&server.url(), "stint")).await.unwrap()
}

fn write(table: Table, key: impl Into<Bytes>, value: Option<&[u8]>) -> Write {
    Write { table, key: key.into(), value: value.map(Bytes::copy_from_slice) }
}

fn batch(expected: Head, writes: Vec<Write>) -> Arc<Batch> {
    let version = expected.version + 1;
    let next = Head { version, nonce: version, committer: NodeId(1), now_ms: 1, level: 1, ..expected };
    Arc::new(Batch { next, incarnation: 7, writes, absent: vec![] })
}

async fn commit(store: &ValkeyStore, expected: Head, writes: Vec<Write>) -> Result<Head, StoreError> {
    let batch = batch(expected, writes);
    match store.commit(P, expected, batch.clone()).await? {
        Committed::Yes(head) => Ok(head),
        other => panic!("{batch:?} was answered {other:?}"),
    }
}

#[tokio::test]
async fn conforms_on_valkey() {
    let server = Server::start(Flavour::Valkey).unwrap();
    conformance::run(&OnServer::new(server.url())).await.unwrap();
}

#[tokio::test]
async fn conforms_on_redis_7_0() {
    let server = Server::start(Flavour::Redis).unwrap();
    assert!(server.call("INFO server").unwrap().contains("redis_version:7.0."));
    conformance::run(&OnServer::new(server.url())).await.unwrap();
}

#[tokio::test]
async fn conforms_on_a_valkey_cluster() {
    let cluster = Cluster::start(Flavour::Valkey, 3).unwrap();
    conformance::run(&OnServer::new(cluster.url())).await.unwrap();
}

#[tokio::test]
async fn conforms_on_a_redis_cluster_of_one() {
    let cluster = Cluster::start(Flavour::Redis, 1).unwrap();
    conformance::run(&OnServer::new(cluster.url())).await.unwrap();
}

#[test]
fn agrees_with_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::start(Flavour::Valkey).unwrap();
    let harness = OnServer::new(server.url());
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in proptest::collection::vec(any::<script::Step>(), 0..120))| {
        runtime.block_on(async {
            let mut fixture = harness.fresh().await;
            script::play(fixture.as_mut(), &steps).await
        }).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
    });
}

#[tokio::test]
async fn servers_that_will_not_do_are_refused() {
    let server = Server::start(Flavour::Valkey).unwrap();
    let cluster = Cluster::start(Flavour::Valkey, 1).unwrap();
    let evicting = Server::start_with(Flavour::Redis, &["--maxmemory-policy", "allkeys-lru"]).unwrap();
    let primary = format!("127.0.0.1 {}", server.port());
    let replica = Server::start_with(Flavour::Valkey, &["--replicaof", &primary]).unwrap();
    let mut gone = Server::start(Flavour::Redis).unwrap();
    gone.kill();
    let single = cluster.nodes()[0].url();
    let cases = [
        (evicting.url(), "noeviction"),
        (single, "valkey+cluster://"),
        (server.url().replace("valkey://", "valkey+cluster://"), ""),
        (replica.url(), "replica"),
        (gone.url(), "can't connect"),
        ("valkey://127.0.0.1:notaport".to_owned(), "HOST:PORT"),
        ("rediss://127.0.0.1:1".to_owned(), "TLS"),
        ("http://127.0.0.1:1".to_owned(), "neither"),
        ("127.0.0.1:1".to_owned(), "scheme"),
    ];
    for (url, wanted) in cases {
        let error = ValkeyStore::open(config(&url, "stint")).await.unwrap_err();
        assert_eq!(error.code(), "store_unavailable", "{url}");
        assert!(error.to_string().contains(wanted), "{url}: {error}");
    }
    let error = ValkeyStore::open(config(&server.url(), "{x}")).await.unwrap_err();
    assert!(error.to_string().contains("prefix"), "{error}");
}

#[tokio::test]
async fn no_message_shows_the_password() {
    let server =
        Server::start_with(Flavour::Valkey, &["--user", "stint", "on", ">secret", "~*", "+@all"]).unwrap();
    let good = format!("valkey://stint:secret@{}", server.address());
    let store = ValkeyStore::open(config(&good, "stint")).await.unwrap();
    assert!(!format!("{store:?}").contains("secret"));
    let bad = format!("valkey://stint:secret2@{}", server.address());
    let error = ValkeyStore::open(config(&bad, "stint")).await.unwrap_err();
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert!(error.to_string().contains(&server.address()), "{error}");
}

#[tokio::test]
async fn another_format_or_partition_count_is_refused() {
    let server = Server::start(Flavour::Valkey).unwrap();
    open(&server).await;
    for (field, what) in [("format", "format"), ("partitions", "partitions")] {
        let before = server.call(&format!("HGET stint:{{64}}:store {field}")).unwrap();
        server.call(&format!("HSET stint:{{64}}:store {field} 77")).unwrap();
        let error = ValkeyStore::open(config(&server.url(), "stint")).await.unwrap_err();
        assert_eq!(error.code(), "store_format");
        assert!(error.to_string().contains(&format!("{what} 77")), "{error}");
        server.call(&format!("HSET stint:{{64}}:store {field} {before}")).unwrap();
    }
    open(&server).await;
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let server = Server::start(Flavour::Redis).unwrap();
    let store = open(&server).await;
    let mut head = Head::default();
    for round in 0..10 {
        server.call("SCRIPT FLUSH").unwrap();
        head = commit(&store, head, vec![write(Table::Live, "k", Some(&[round]))]).await.unwrap();
        server.call("SCRIPT FLUSH").unwrap();
        let seen = store.get(P, vec![(Table::Live, "k".into())]).await.unwrap();
        assert_eq!((seen.values[0].as_deref(), seen.head), (Some(&[round][..]), head));
    }
    assert_eq!(store.counters().commits, 10);
}

#[tokio::test]
async fn a_full_server_takes_what_frees_room() {
    for flavour in [Flavour::Valkey, Flavour::Redis] {
        let server = Server::start(flavour).unwrap();
        let store = open(&server).await;
        assert_eq!(store.room(), Room::Enough);
        let mut head = Head::default();
        for n in 0..40 {
            let value = vec![n; 100_000];
            head = commit(&store, head, vec![write(Table::Live, vec![b'k', n], Some(&value))]).await.unwrap();
        }
        server.call("CONFIG SET maxmemory 1000000").unwrap();
        let put = vec![write(Table::Live, "more", Some(b"1"))];
        let answer = store.commit(P, head, batch(head, put.clone())).await;
        assert!(matches!(answer, Err(StoreError::Full(_))), "{answer:?}");
        assert_eq!(store.room(), Room::Low);
        assert_eq!(store.get(P, vec![(Table::Live, "more".into())]).await.unwrap().head, head);
        // What ends work deletes, and passes.
        for n in 0..40 {
            let ended = vec![
                write(Table::Live, vec![b'k', n], None),
                write(Table::Ordered, vec![b'e', n], Some(b"end")),
            ];
            head = commit(&store, head, ended).await.unwrap();
        }
        server.call("CONFIG SET maxmemory 100000000").unwrap();
        commit(&store, head, put).await.unwrap();
    }
}

#[tokio::test]
async fn a_nearly_full_server_is_low_on_room_at_open() {
    let server = Server::start(Flavour::Valkey).unwrap();
    server.call("SETRANGE filler 8000000 x").unwrap();
    let used = server.info("memory", "used_memory").unwrap();
    server.call(&format!("CONFIG SET maxmemory {}", (used * 1.05) as u64)).unwrap();
    assert_eq!(open(&server).await.room(), Room::Low);
}

#[tokio::test]
async fn changes_reach_back_a_thousand_batches_and_end_somewhere() {
    let server = Server::start(Flavour::Valkey).unwrap();
    let store = open(&server).await;
    let mut heads = vec![Head::default()];
    for n in 0..2_500_u32 {
        let key = Bytes::copy_from_slice(&(n % 700).to_be_bytes());
        let head =
            commit(&store, heads[heads.len() - 1], vec![write(Table::Live, key, Some(b"v"))]).await.unwrap();
        heads.push(head);
    }
    let last = heads[2_500];
    for back in [1, 699, 700, 1_000] {
        match store.changes(P, heads[2_500 - back]).await.unwrap() {
            Changes::Since { rows, head } => assert_eq!((rows.len(), head), (back.min(700), last)),
            Changes::TooOld => panic!("{back} batches are too old"),
        }
    }
    for far in [heads[0], heads[1], heads[1_000]] {
        assert_eq!(store.changes(P, far).await.unwrap(), Changes::TooOld);
    }
    // Large entries are bounded by their bytes, but never below a mebibyte.
    let mut head = last;
    for n in 0..10_u32 {
        let writes = (0..1_000_u32).map(|m| {
            let mut key = vec![b'x'; 500];
            key[..4].copy_from_slice(&n.to_be_bytes());
            key[4..8].copy_from_slice(&m.to_be_bytes());
            write(Table::Live, key, None)
        });
        head = commit(&store, head, writes.collect()).await.unwrap();
        heads.push(head);
    }
    let kept = server.call("LLEN stint:{3}:log").unwrap().parse::<usize>().unwrap();
    assert!((3..=5).contains(&kept), "{kept} entries of 500 KB are kept");
    match store.changes(P, heads[heads.len() - 3]).await.unwrap() {
        Changes::Since { rows, .. } => assert_eq!(rows.len(), 2_000),
        Changes::TooOld => panic!("a megabyte back is too old"),
    }
}
