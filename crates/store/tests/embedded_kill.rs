//! SIGKILL at random moments under load, then every confirmed batch is looked for.
//!
//! This test binary starts itself again as the process that is killed. What a batch writes follows from its partition
//! and version alone, so the parent knows the whole content that any head stands for.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use stint_store::embedded::{EmbeddedConfig, EmbeddedStore};
use stint_store::{Batch, Committed, Head, META, NodeId, PartitionId, Range, Store, Table, Write};

const ROUNDS: usize = 25;
const STORE: &str = "STINT_TEST_KILL_STORE";
const PARTITIONS: [PartitionId; 5] = [PartitionId(0), PartitionId(1), PartitionId(31), PartitionId(63), META];

fn head(partition: PartitionId, version: u64) -> Head {
    match version {
        0 => Head::default(),
        _ => Head {
            timeline: 1,
            version,
            nonce: version * 1_000 + u64::from(partition.0),
            committer: NodeId(version % 3),
            now_ms: version as i64,
            level: 1,
        },
    }
}

fn batch(partition: PartitionId, version: u64) -> Arc<Batch> {
    // One partition writes large values, so that journals and tables turn over while processes die.
    let size = if partition.0 == 0 { 20_000 } else { 200 };
    let value = |n: u64| Some(Bytes::from(vec![(version + n) as u8; size + (version % 7) as usize]));
    let key = |n: u64| Bytes::from(format!("{n:08}"));
    let mut writes: Vec<Write> = (0..4)
        .map(|n| Write { table: Table::Live, key: key((version * 4 + n) % 3_000), value: value(n) })
        .chain([Write { table: Table::Cold, key: key(version), value: value(7) }])
        .chain([Write { table: Table::Ordered, key: key(version), value: value(9) }])
        .collect();
    if version > 50 {
        writes.push(Write { table: Table::Live, key: key((version * 4 - 200) % 3_000), value: None });
        writes.push(Write { table: Table::Ordered, key: key(version - 50), value: None });
    }
    Arc::new(Batch { next: head(partition, version), incarnation: 5, writes, absent: Vec::new() })
}

/// The process that is killed; by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_until_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let store = EmbeddedStore::open(EmbeddedConfig::new(path)).unwrap();
    for partition in PARTITIONS {
        let store = store.clone();
        tokio::spawn(async move {
            let mut at = store.get(partition, Vec::new()).await.unwrap().head;
            loop {
                let next = batch(partition, at.version + 1);
                assert_eq!(store.commit(partition, at, next.clone()).await, Ok(Committed::Yes(next.next)));
                at = next.next;
                let line = format!("confirmed {} {}\n", partition.0, at.version);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    std::future::pending::<()>().await;
}

/// When a process is killed.
#[derive(Clone, Copy)]
enum Death {
    /// So long after its start: while it makes or opens the store, or soon after.
    After(Duration),
    /// When it has confirmed so many batches, however slow the machine.
    Confirmed(usize),
}

/// Starts the other process, kills it, and answers the highest version it confirmed per partition.
fn live_and_die(path: &std::path::Path, death: Death) -> BTreeMap<u8, u64> {
    let begun = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "commit_until_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (lines, said) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        out.lines().map_while(Result::ok).for_each(|line| lines.send(line).unwrap_or_default());
    });
    let mut confirmed = BTreeMap::new();
    let mut noted = 0;
    let mut note = |line: String| {
        let mut words = line.split(' ');
        if words.next() == Some("confirmed") {
            let partition = words.next().unwrap().parse().unwrap();
            confirmed.insert(partition, words.next().unwrap().parse().unwrap());
            noted += 1;
        }
        noted
    };
    match death {
        Death::After(life) => {
            while let Ok(line) = said.recv_timeout(life.saturating_sub(begun.elapsed())) {
                note(line);
            }
        }
        Death::Confirmed(wanted) => while note(said.recv().unwrap()) < wanted {},
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    // Half a line may have been written when the process died.
    let rest: Vec<String> = said.try_iter().collect();
    let whole = rest.len().saturating_sub(1);
    for line in rest.into_iter().take(whole) {
        note(line);
    }
    confirmed
}

/// What a partition holds at a version, kept up from round to round.
#[derive(Default)]
struct Model {
    version: u64,
    tables: BTreeMap<(Table, Bytes), Bytes>,
}

impl Model {
    fn advance(&mut self, partition: PartitionId, version: u64) {
        for version in self.version + 1..=version {
            for write in &batch(partition, version).writes {
                let key = (write.table, write.key.clone());
                match &write.value {
                    Some(value) => self.tables.insert(key, value.clone()),
                    None => self.tables.remove(&key),
                };
            }
        }
        self.version = version;
    }

    fn rows(&self, table: Table) -> Vec<(Bytes, Bytes)> {
        self.tables
            .iter()
            .filter(|((t, _), _)| *t == table)
            .map(|((_, k), v)| (k.clone(), v.clone()))
            .collect()
    }
}

async fn check(
    store: &EmbeddedStore,
    partition: PartitionId,
    confirmed: u64,
    model: &mut Model,
    round: usize,
) {
    let told = format!("round {round}, partition {}", partition.0);
    let at = store.get(partition, Vec::new()).await.unwrap().head;
    assert!(at.version >= confirmed, "{told}: version {} of {confirmed} confirmed", at.version);
    assert!(at.version >= model.version, "{told}: what an earlier round saw is gone");
    assert_eq!(at, head(partition, at.version), "{told}");
    model.advance(partition, at.version);

    let (mut live, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.load(partition, cursor).await.unwrap();
        live.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(live == model.rows(Table::Live), "{told}: live records differ");
    let mut range = Range { from: Bytes::new(), to: Bytes::from_static(b"9"), reverse: false, limit: 1_000 };
    let mut ordered = Vec::new();
    loop {
        let page = store.range(partition, range.clone()).await.unwrap();
        ordered.extend(page.rows);
        let Some(cursor) = page.cursor else { break };
        range.from = cursor;
    }
    assert!(ordered == model.rows(Table::Ordered), "{told}: ordered records differ");
    let (keys, values): (Vec<_>, Vec<_>) =
        model.rows(Table::Cold).into_iter().map(|(key, value)| ((Table::Cold, key), Some(value))).unzip();
    assert!(store.get(partition, keys).await.unwrap().values == values, "{told}: cold records differ");

    // The last batch may have been sent without an answer: sent again it is settled, not applied again.
    if at.version > 0 {
        let answer =
            store.commit(partition, head(partition, at.version - 1), batch(partition, at.version)).await;
        assert_eq!(answer, Ok(Committed::Yes(at)), "{told}");
    }
}

#[tokio::test]
async fn nothing_confirmed_is_lost_by_a_kill() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut models: BTreeMap<PartitionId, Model> =
        PARTITIONS.iter().map(|&p| (p, Model::default())).collect();
    let mut total = 0;
    for round in 0..ROUNDS {
        let death = match round % 5 {
            0 => Death::After(Duration::from_millis(random.random_range(0..60))),
            _ => Death::Confirmed(random.random_range(1..500)),
        };
        let confirmed = live_and_die(&path, death);
        let store = EmbeddedStore::open(EmbeddedConfig::new(&path)).unwrap();
        for (&partition, model) in &mut models {
            let confirmed = confirmed.get(&partition.0).copied().unwrap_or(0);
            check(&store, partition, confirmed, model, round).await;
        }
        total = models.values().map(|model| model.version).sum();
        // Every other time the next process finds what a kill left, not what a close did.
        match round % 2 {
            0 => store.close().await.unwrap(),
            _ => drop(store),
        }
    }
    assert!(total > 500, "only {total} batches in all rounds: the load was none");
}
