//! Backups: exactly one head's state per partition, whatever happens meanwhile, and back again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use stint_api::{ExecutionState, StepRequest, SubmitRequest};
use stint_engine::backup::{
    Arriving, Backup, Contents, Damage, ExportError, Frame, Frames, ReadError, RestoreError, restore, verify,
};
use stint_engine::{Engine, EngineConfig, OpenError};
use stint_store::memory::{Dump, Fault, FaultPlan, MemoryConfig, MemoryStore, Op, StoreClock, Trouble};
use stint_store::{META, PartitionId, Store};

use crate::bed::{Bed, START_MS, claim, json, pass, work};

/// Commits that can be looked back on.
const HISTORY: usize = 100_000;

fn memory(faults: Option<Box<dyn FaultPlan>>) -> MemoryStore {
    let clock = StoreClock::Virtual(START_MS);
    let load_rows = 20;
    MemoryStore::new(MemoryConfig {
        clock,
        exclusive: true,
        faults,
        history: HISTORY,
        load_rows,
        ..MemoryConfig::default()
    })
}

async fn engine(store: &MemoryStore) -> Result<Engine, OpenError> {
    let engine =
        Engine::open(Arc::new(store.clone()), EngineConfig { seed: Some(9), ..EngineConfig::default() })
            .await?;
    engine.opened().await;
    Ok(engine)
}

/// All pieces, as fast as they come.
pub(crate) async fn taken(mut backup: Backup) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = backup.next().await {
        bytes.extend_from_slice(&piece);
    }
    backup.ended().await.unwrap();
    bytes
}

fn verified(bytes: &[u8]) -> Contents {
    let mut arriving = Arriving::default();
    // In pieces that meet no frame.
    for piece in bytes.chunks(777) {
        arriving.push(piece).unwrap();
    }
    let contents = verify(bytes, |_| {}).unwrap();
    assert_eq!(arriving.end().unwrap(), contents);
    contents
}

pub(crate) async fn restored(bytes: &[u8]) -> MemoryStore {
    let store = memory(None);
    restore_into(&store, bytes).await.unwrap();
    store
}

async fn restore_into(store: &MemoryStore, bytes: &[u8]) -> Result<bool, RestoreError> {
    let contents = verified(bytes);
    let store: Arc<dyn Store> = Arc::new(store.clone());
    restore(&store, &contents, bytes, |_| {}).await.map(|restored| restored.resumed)
}

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..META.0).map(PartitionId)
}

/// The content of a partition, without where it stands.
fn content(dump: Dump) -> [BTreeMap<bytes::Bytes, bytes::Bytes>; 3] {
    [dump.live, dump.cold, dump.ordered]
}

/// The restored store holds what the first one held at the heads of the backup. Takes later commits of the first back.
fn compare(first: &MemoryStore, copy: &MemoryStore, contents: &Contents) {
    for partition in partitions() {
        let head = contents.sections[&partition].head;
        let later = first.head(partition).version - head.version;
        assert_eq!(first.lose(partition, later as usize) as u64, later);
        assert_eq!(first.head(partition), head);
        let (wanted, found) = (first.dump(partition), copy.dump(partition));
        if head.version > 0 {
            assert_eq!(found.head.timeline, head.timeline + 1);
            assert!(found.head.version > head.version);
            assert_eq!((found.head.now_ms, found.head.level), (head.now_ms, head.level));
        }
        assert_eq!(content(found), content(wanted), "partition {}", partition.0);
    }
}

fn submission(n: usize) -> SubmitRequest {
    let mut request = work();
    request.idempotency_key = Some(format!("key {n}"));
    request.input = json(&format!("\"{}\"", "x".repeat(n * 37 % 3_000)));
    request.tags.insert("n".into(), (n % 5).to_string());
    request
}

/// Work in all states, with journaled steps.
async fn fill(bed: &Bed, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(bed.submit(submission(n)).await.id);
    }
    for lease in bed.lease((count / 2) as u32).await {
        let step = StepRequest { key: "one".into(), ..StepRequest::default() };
        bed.engine.begin_step(&lease.lease, step).await.unwrap();
        if lease.execution.id.as_bytes()[10] % 2 == 0 {
            bed.complete(&lease, "\"done\"").await.unwrap();
        }
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn a_store_at_rest_comes_back_record_by_record() {
    let bed = Bed::on(memory(None)).await;
    let ids = fill(&bed, 200).await;
    let bytes = taken(bed.engine.backup().unwrap()).await;
    let contents = verified(&bytes);
    assert_eq!((contents.sections.len(), contents.abandoned), (65, 0));
    assert!(contents.counts.rows > 400 && contents.counts.writes == 0, "{:?}", contents.counts);
    let copy = restored(&bytes).await;
    compare(&bed.store, &copy, &contents);

    // Nobody serves the copy yet: it can be copied without a node, and holds the same.
    let again = Backup::of_store(Arc::new(copy.clone())).await.unwrap();
    let again = verified(&taken(again).await);
    assert_eq!(again.counts.rows, contents.counts.rows);

    let engine = engine(&copy).await.unwrap();
    for id in ids {
        let (was, is) = (bed.engine.execution("default", &id).await, engine.execution("default", &id).await);
        assert_eq!(was.unwrap().state, is.unwrap().state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_under_load_is_exactly_the_state_at_its_heads() {
    for pace in [0, 1, 7] {
        let bed = Bed::on(memory(None)).await;
        fill(&bed, 300).await;
        let mut backup = bed.engine.backup().unwrap();
        let mut bytes = Vec::new();
        let mut n = 10_000;
        loop {
            // Several things happen between two pieces, also in the partition that is being read.
            for _ in 0..pace {
                n += 1;
                bed.submit(submission(n)).await;
                if let Some(lease) = bed.lease(1).await.pop()
                    && n % 3 > 0
                {
                    bed.complete(&lease, "1").await.unwrap();
                }
            }
            match backup.next().await {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => break,
            }
        }
        backup.ended().await.unwrap();
        let contents = verified(&bytes);
        assert_eq!(contents.counts.writes > 0, pace > 0, "{:?}", contents.counts);
        let copy = restored(&bytes).await;
        compare(&bed.store, &copy, &contents);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restore_everything_goes_on() {
    let bed = Bed::on(memory(None)).await;
    let (kept, lost) = (bed.submit_work().await, bed.submit_work().await);
    let leases = bed.lease(2).await;
    let lease_of = |id: &str| leases.iter().find(|lease| lease.execution.id == id).unwrap();
    let keyed = bed.submit(submission(1)).await;
    let bytes = taken(bed.engine.backup().unwrap()).await;
    let copy = restored(&bytes).await;
    let timelines: Vec<u64> = partitions().map(|p| copy.head(p).timeline).collect();
    let bed = Bed { engine: engine(&copy).await.unwrap(), store: copy };

    // A worker that went on is heard; one that is silent loses its lease.
    bed.complete(lease_of(&kept), "\"late\"").await.unwrap();
    assert_eq!(bed.state(&kept).await, ExecutionState::Completed);
    pass(31_000).await;
    let refused = bed.complete(lease_of(&lost), "1").await.unwrap_err();
    assert_eq!(refused.code.as_str(), "lease_lost");
    assert_eq!(bed.state(&lost).await, ExecutionState::Ready);
    let again = bed.submit(submission(1)).await;
    assert!(again.existed && again.id == keyed.id);
    // Every partition began a new timeline, with whatever it was.
    for (partition, before) in partitions().zip(timelines) {
        assert!(bed.store.head(partition).timeline > before, "partition {}", partition.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_empty_is_refused_and_stays_as_it_is() {
    let bed = Bed::on(memory(None)).await;
    fill(&bed, 20).await;
    let bytes = taken(bed.engine.backup().unwrap()).await;
    let before: Vec<Dump> = partitions().map(|p| bed.store.dump(p)).collect();
    let refused = restore_into(&bed.store, &bytes).await.unwrap_err();
    assert_eq!(refused.code(), "store_not_empty");
    assert_eq!(partitions().map(|p| bed.store.dump(p)).collect::<Vec<_>>(), before);
}

/// Lets so many commits through and then answers none, or loses every reply.
#[derive(Debug)]
struct StopsAfter(AtomicUsize);

impl FaultPlan for StopsAfter {
    fn decide(&mut self, op: Op) -> Fault {
        if op.call != stint_store::memory::Call::Commit {
            return Fault::default();
        }
        let left = self.0.load(Relaxed);
        self.0.store(left.saturating_sub(1), Relaxed);
        // The last one that gets through is not heard of.
        let trouble = match left {
            0 => Trouble::Unavailable,
            1 => Trouble::LostReply,
            _ => Trouble::None,
        };
        Fault { trouble, ..Fault::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_was_interrupted_is_not_served_and_goes_on() {
    let bed = Bed::on(memory(None)).await;
    fill(&bed, 100).await;
    let bytes = taken(bed.engine.backup().unwrap()).await;
    let other = taken(bed.engine.backup().unwrap()).await;
    let contents = verified(&bytes);
    let whole = restored(&bytes).await;
    let mut interrupted = 0;
    for after in (1..).step_by(5) {
        let store = memory(Some(Box::new(StopsAfter(AtomicUsize::new(after)))));
        match restore_into(&store, &bytes).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), "store_unavailable", "{error}"),
        }
        interrupted += 1;
        store.calm(true);
        assert_eq!(engine(&store).await.unwrap_err(), OpenError::Unfinished);
        let mut copied = Backup::of_store(Arc::new(store.clone())).await.unwrap();
        while copied.next().await.is_some() {}
        assert_eq!(copied.ended().await, Err(ExportError::Unfinished));
        let refused = restore_into(&store, &other).await.unwrap_err();
        assert_eq!(refused.code(), "store_restore_unfinished");
        assert!(restore_into(&store, &bytes).await.unwrap());
        for partition in partitions() {
            assert_eq!(store.dump(partition), whole.dump(partition));
        }
        assert!(engine(&store).await.is_ok());
    }
    assert!(interrupted > 5, "{interrupted}");
    compare(&bed.store, &whole, &contents);
}

fn damage(bytes: &[u8]) -> Damage {
    match verify(bytes, |_| {}) {
        Err(ReadError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_not_whole_is_refused_with_the_place() {
    let bed = Bed::on(memory(None)).await;
    fill(&bed, 30).await;
    let bytes = taken(bed.engine.backup().unwrap()).await;
    let step = (bytes.len() / 400).max(1);
    for at in (0..bytes.len()).step_by(step) {
        let cut = damage(&bytes[..at]);
        assert_eq!(cut.code, "backup_truncated", "cut at {at}: {cut}");
        assert_eq!(cut.at, at as u64);
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        let flipped = damage(&flipped);
        // A longer length makes the rest look missing, or one byte of the header another format.
        assert!(flipped.code.starts_with("backup_"), "{flipped}");
        assert!(flipped.code == "backup_truncated" || flipped.at <= at as u64, "byte {at}: {flipped}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(damage(&longer).at, bytes.len() as u64);
    assert_eq!(
        damage(b"# A text, and a long one at that: it goes on for more than a header.").code,
        "backup_format"
    );

    // A frame that is missing, repeated or another backup's is seen although its own checksum is right.
    let mut frames = Frames::new(&bytes[..]);
    frames.header().unwrap();
    let mut places = Vec::new();
    while let Some((at, _)) = frames.read().unwrap() {
        places.push(at as usize);
    }
    let [one, two, three] = [places[3], places[4], places[5]];
    let without = [&bytes[..one], &bytes[two..]].concat();
    assert_eq!((damage(&without).code, damage(&without).at), ("backup_damaged", one as u64));
    let twice = [&bytes[..two], &bytes[one..]].concat();
    assert_eq!(damage(&twice).at, two as u64);
    let other = taken(bed.engine.backup().unwrap()).await;
    let mixed = [&bytes[..two], &other[two..three], &bytes[three..]].concat();
    assert_eq!(damage(&mixed).at, two as u64);
}

#[tokio::test(start_paused = true)]
async fn one_backup_at_a_time_and_none_for_nobody() {
    let bed = Bed::on(memory(None)).await;
    fill(&bed, 100).await;
    let first = bed.engine.backup().unwrap();
    assert_eq!(bed.engine.backup().unwrap_err().code.as_str(), "overloaded");
    // Nobody takes it: it ends by itself.
    pass(120_000).await;
    assert_eq!(first.ended().await, Err(ExportError::Gone));
    drop(bed.engine.backup().unwrap());
    assert_eq!(bed.lease(1).await.len(), 1);
    let second = bed.engine.backup().unwrap();
    bed.engine.drain().await;
    // What was under way says that it is not complete.
    let mut bytes = Vec::new();
    let mut second = second;
    while let Some(piece) = second.next().await {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(damage(&bytes).code, "backup_failed");
}

#[tokio::test(start_paused = true)]
async fn another_node_writing_makes_a_partition_begin_again() {
    let clock = StoreClock::Virtual(START_MS);
    let store =
        MemoryStore::new(MemoryConfig { clock, history: HISTORY, load_rows: 10, ..MemoryConfig::default() });
    let node = async |number: u64| {
        let config = EngineConfig {
            node: format!("node {number}"),
            seed: Some(number),
            share: true,
            ..EngineConfig::default()
        };
        let engine = Engine::open(Arc::new(store.handle(number)), config).await.unwrap();
        engine.opened().await;
        engine
    };
    let (one, two) = (node(1).await, node(2).await);
    for n in 0..200 {
        one.submit(submission(n), None).await.unwrap();
    }
    let mut backup = one.backup().unwrap();
    let mut bytes = Vec::new();
    let mut n = 1_000;
    while let Some(piece) = backup.next().await {
        bytes.extend_from_slice(&piece);
        // In bursts: a partition gets its turn in between.
        if n < 1_200 {
            for _ in 0..3 {
                n += 1;
                two.submit(submission(n), None).await.unwrap();
                one.submit(submission(n + 1_000), None).await.unwrap();
            }
            _ = two.lease(claim(1), None).await.unwrap();
        }
    }
    backup.ended().await.unwrap();
    let contents = verified(&bytes);
    let mut frames = Frames::new(&bytes[..]);
    frames.header().unwrap();
    let mut abandoned = 0;
    while let Some((_, frame)) = frames.read().unwrap() {
        abandoned += u32::from(matches!(frame, Frame::Abandoned(..)));
    }
    assert_eq!(contents.abandoned, abandoned);
    assert!(abandoned > 0);
    let copy = restored(&bytes).await;
    compare(&store, &copy, &contents);
}
