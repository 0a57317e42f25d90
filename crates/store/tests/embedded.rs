//! The embedded store: the conformance suite, what it refuses to open, and what it does when the disk fails it.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use stint_store::conformance::{self, Fixture, Harness, script};
use stint_store::embedded::{Durability, EmbeddedConfig, EmbeddedStore, calibrate};
use stint_store::{
    Batch, Committed, FORMAT, Head, META, NodeId, OpenError, PARTITIONS, PartitionId, Range, Room, Store,
    StoreError, Table, Write,
};

const P: PartitionId = PartitionId(5);

struct Embedded {
    durability: Durability,
}

struct OnDisk {
    directory: tempfile::TempDir,
    durability: Durability,
    store: Option<Arc<EmbeddedStore>>,
}

impl OnDisk {
    fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig {
            durability: self.durability,
            ..EmbeddedConfig::new(self.directory.path().join("store"))
        }
    }
}

impl Harness for Embedded {
    fn fresh(&self) -> BoxFuture<'_, Box<dyn Fixture>> {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = OnDisk { directory, durability: self.durability, store: None };
        fixture.store = Some(EmbeddedStore::open(fixture.config()).unwrap());
        async move { Box::new(fixture) as Box<dyn Fixture> }.boxed()
    }
}

impl Fixture for OnDisk {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    fn peer(&self) -> Option<Arc<dyn Store>> {
        None
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        async move {
            let store = self.store.take().unwrap();
            store.close().await.unwrap();
            drop(store);
            self.store = Some(EmbeddedStore::open(self.config()).unwrap());
            true
        }
        .boxed()
    }
}

#[tokio::test]
async fn conforms() {
    conformance::run(&Embedded { durability: Durability::Fsync }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_on_several_threads() {
    conformance::run(&Embedded { durability: Durability::Os }).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(steps in proptest::collection::vec(any::<script::Step>(), 0..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Embedded { durability: Durability::Os }.fresh().await;
            script::play(fixture.as_mut(), &steps).await
        }).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
    }
}

fn batch(expected: Head, key: &str, value: &[u8]) -> Arc<Batch> {
    let next =
        Head { version: expected.version + 1, nonce: expected.nonce + 1, committer: NodeId(1), ..expected };
    let value = Some(Bytes::copy_from_slice(value));
    let writes = vec![Write { table: Table::Cold, key: Bytes::copy_from_slice(key.as_bytes()), value }];
    Arc::new(Batch { next, incarnation: 9, writes, absent: Vec::new() })
}

async fn commit(store: &EmbeddedStore, partition: PartitionId, expected: Head) -> Head {
    let next = batch(expected, &expected.version.to_string(), b"value");
    assert_eq!(store.commit(partition, expected, next.clone()).await, Ok(Committed::Yes(next.next)));
    next.next
}

async fn head(store: &EmbeddedStore, partition: PartitionId) -> Head {
    store.get(partition, Vec::new()).await.unwrap().head
}

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    let refused = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap_err();
    let OpenError::Locked { path, pid } = &refused else { panic!("{refused:?}") };
    assert_eq!(
        (path.as_str(), pid.as_str()),
        (directory.path().to_str().unwrap(), &*std::process::id().to_string())
    );
    assert_eq!(refused.code(), "store_locked");
    store.close().await.unwrap();
    let again = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    drop(store);
    drop(again);
    EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
}

/// Changes a fact as another build would have written it.
fn with_fact(store: &Path, key: &[u8], value: Option<&[u8]>) {
    let database = fjall::Database::builder(store.join("data")).open().unwrap();
    let heads = database.keyspace("heads", Default::default).unwrap();
    match value {
        Some(value) => heads.insert(key, value).unwrap(),
        None => heads.remove(key).unwrap(),
    }
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

#[tokio::test]
async fn another_format_or_number_of_partitions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = || EmbeddedStore::open(EmbeddedConfig::new(directory.path()));
    drop(open().unwrap());
    let facts: [(&[u8], &str, u32); 2] =
        [(b"format", "format", FORMAT), (b"partitions", "partitions", PARTITIONS.into())];
    for (key, name, ours) in facts {
        with_fact(directory.path(), key, Some(&(ours + 1).to_be_bytes()));
        let Err(OpenError::Format { what, found, wanted, .. }) = open() else {
            panic!("opened with another {name}")
        };
        assert_eq!((what, found, wanted), (name, ours + 1, ours));
        with_fact(directory.path(), key, None);
        assert!(matches!(open(), Err(OpenError::Io { .. })));
        with_fact(directory.path(), key, Some(&ours.to_be_bytes()));
        drop(open().unwrap());
    }
}

#[tokio::test]
async fn a_half_made_store_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let half = directory.path().join("data.new");
    std::fs::create_dir_all(half.join("keyspaces")).unwrap();
    std::fs::write(half.join("0.jnl"), b"").unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    commit(&store, P, Head::default()).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[tokio::test]
async fn a_store_behind_what_it_confirmed_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("store"), directory.path().join("old"));
    let open =
        |accept_loss| EmbeddedStore::open(EmbeddedConfig { accept_loss, ..EmbeddedConfig::new(&path) });
    let store = open(false).unwrap();
    let at = commit(&store, P, Head::default()).await;
    store.close().await.unwrap();
    copy(&path.join("data"), &old);

    let store = open(false).unwrap();
    let identity = store.identity().await.unwrap();
    let later = commit(&store, P, commit(&store, P, at).await).await;
    let meta = commit(&store, META, Head::default()).await;
    store.close().await.unwrap();
    drop(store);
    std::fs::remove_dir_all(path.join("data")).unwrap();
    copy(&old, &path.join("data"));

    let refused = open(false).unwrap_err();
    let OpenError::Behind { lost_batches, partitions, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((lost_batches, partitions), (3, 2));
    assert!(refused.to_string().contains("--accept-loss"));
    let store = open(true).unwrap();
    assert_eq!((head(&store, P).await, head(&store, META).await), (at, Head::default()));
    let loss = store.accepted_loss().unwrap();
    assert_eq!((loss.batches, loss.partitions), (3, 2));
    let renamed = store.identity().await.unwrap();
    assert_ne!(renamed, identity, "whoever remembers the old identity sees that content was replaced");
    drop(store);
    let store = open(false).expect("accepted once is accepted");
    assert_eq!((store.identity().await.unwrap(), store.accepted_loss()), (renamed, Some(loss)));
    assert_ne!(commit(&store, P, at).await.version, later.version);
    drop(store);

    // Data that were removed are a loss as well, and a damaged file is no permission.
    std::fs::remove_dir_all(path.join("data")).unwrap();
    assert!(matches!(open(false), Err(OpenError::Behind { lost_batches: 2, partitions: 1, .. })));
    std::fs::write(path.join("heads"), b"stintHF1").unwrap();
    let Err(OpenError::Io { path: named, .. }) = open(true) else {
        panic!("a damaged file of heads was taken")
    };
    assert!(named.ends_with("heads"));
    assert_eq!(meta.version, 1);
}

#[tokio::test]
async fn room_follows_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(10_000));
    let asked = free.clone();
    let store = EmbeddedStore::open(EmbeddedConfig {
        low_water_bytes: 1_000,
        free_bytes: Some(Arc::new(move |_| match asked.load(Ordering::Relaxed) {
            u64::MAX => Err(std::io::Error::other("no answer")),
            bytes => Ok(bytes),
        })),
        ..EmbeddedConfig::new(directory.path())
    })
    .unwrap();
    assert_eq!(store.room(), Room::Enough);
    let at = commit(&store, P, Head::default()).await;
    free.store(999, Ordering::Relaxed);
    assert_eq!(store.room(), Room::Low);
    let at = commit(&store, P, at).await;
    free.store(100, Ordering::Relaxed);
    let refused = store.commit(P, at, batch(at, "k", b"")).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    free.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(store.room(), Room::Low, "no answer changes nothing");
    free.store(10_000, Ordering::Relaxed);
    assert_eq!(store.room(), Room::Enough);
    commit(&store, P, at).await;
}

/// A writer and a slow sequence of memtable flushes and compactions: whatever a reader sees stands at one head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_atomic_while_compaction_runs() {
    let directory = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig { durability: Durability::Os, ..EmbeddedConfig::new(directory.path()) };
    let store = EmbeddedStore::open(config).unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let mut at = Head::default();
            // 90 MB of live records overwritten: several flushes of every table and merges of them.
            for version in 1..=1_500_u64 {
                let next = Head { version, nonce: version, committer: NodeId(1), ..at };
                let row = |n: u64| Write {
                    table: [Table::Live, Table::Ordered][(n % 2) as usize],
                    key: Bytes::from(format!("{:03}", n / 2)),
                    value: Some(Bytes::from(format!("{version:0600}"))),
                };
                let batch =
                    Batch { next, incarnation: 1, writes: (0..100).map(row).collect(), absent: Vec::new() };
                assert_eq!(store.commit(P, at, Arc::new(batch)).await, Ok(Committed::Yes(next)));
                at = next;
            }
        }
    });
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let keys =
            [(Table::Live, "000"), (Table::Ordered, "000"), (Table::Live, "049"), (Table::Ordered, "049")];
        let seen =
            store.get(P, keys.map(|(t, k)| (t, Bytes::from_static(k.as_bytes()))).to_vec()).await.unwrap();
        let whole =
            Range { from: Bytes::from_static(b"0"), to: Bytes::from_static(b"1"), reverse: false, limit: 99 };
        let page = store.range(P, whole).await.unwrap();
        for (head, values) in [
            (seen.head, seen.values.into_iter().flatten().collect::<Vec<_>>()),
            (page.head, page.rows.into_iter().map(|(_, v)| v).collect()),
        ] {
            let wanted = format!("{:0600}", head.version);
            assert!(values.iter().all(|v| *v == wanted), "a torn read at version {}", head.version);
            assert!(head.version == 0 || values.len() == 4 || values.len() == 50);
        }
        reads += 1;
    }
    writer.await.unwrap();
}

#[test]
fn calibration_counts() {
    let directory = tempfile::tempdir().unwrap();
    let rate = calibrate(directory.path(), 512, Duration::from_millis(50)).unwrap();
    assert!(rate > 0.0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
}

/// In a process of its own whose files may not grow beyond a limit: the write that fails is `Fatal`, and so is
/// every call after it; all that was confirmed is there for the next process.
#[test]
fn a_failed_write_is_the_end_and_loses_nothing_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    // 512-byte blocks; the journal is made with 64 MiB and may not grow far beyond.
    let script = "trap '' XFSZ; ulimit -f 131200; exec \"$0\" --exact write_until_it_fails --nocapture";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("STINT_TEST_STORE", directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let confirmed: u64 = told
        .lines()
        .find_map(|line| line.strip_prefix("confirmed "))
        .unwrap_or_else(|| panic!("{told}\n{}", String::from_utf8_lossy(&output.stderr)))
        .parse()
        .unwrap();
    assert!(confirmed > 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
        assert!(head(&store, P).await.version >= confirmed);
        for version in 0..confirmed {
            let key = Bytes::from(version.to_string());
            let seen = store.get(P, vec![(Table::Cold, key)]).await.unwrap();
            assert_eq!(seen.values[0].as_ref().map(Bytes::len), Some(1 << 20), "batch {version}");
        }
    });
}

/// The other process of the test above; by itself it does nothing.
#[tokio::test]
async fn write_until_it_fails() {
    let Some(path) = std::env::var_os("STINT_TEST_STORE") else { return };
    let told = Arc::new(AtomicU64::new(0));
    let calls = told.clone();
    let store = EmbeddedStore::open(EmbeddedConfig {
        on_fatal: Some(Arc::new(move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        })),
        ..EmbeddedConfig::new(path)
    })
    .unwrap();
    let (value, mut at) = (vec![7; 1 << 20], Head::default());
    let failed = loop {
        let next = batch(at, &at.version.to_string(), &value);
        match store.commit(P, at, next.clone()).await {
            Ok(Committed::Yes(head)) => at = head,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(at.version < 500, "the limit on files is not there");
    };
    assert!(matches!(failed, StoreError::Fatal(_)), "{failed:?}");
    assert!(matches!(store.get(P, Vec::new()).await, Err(StoreError::Fatal(_))));
    assert!(matches!(store.load(P, None).await, Err(StoreError::Fatal(_))));
    assert!(matches!(
        store.commit(META, Head::default(), batch(Head::default(), "k", b"")).await,
        Err(StoreError::Fatal(_))
    ));
    assert!(matches!(store.close().await, Err(StoreError::Fatal(_))));
    assert_eq!(told.load(Ordering::Relaxed), 1, "the process is told once");
    let mut out = std::io::stdout();
    writeln!(out, "confirmed {}", at.version).unwrap();
}
