//! Random histories against a tiny obvious model.
//!
//! A script is plain numbers, so that a property test can shrink it: each step is six bytes that say what to do
//! next. Every answer of the store is compared with a model of three maps and a head.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Failure, Fixture, Reason, check, load_caught_up, range_all, same};
use crate::contract::{Batch, Committed, Head, NodeId, PartitionId, Range, Store, Table, Write};

/// One step: which act, on which partition, as which node, and three numbers that the act reads as it likes.
pub type Step = [u8; 6];

const TABLES: [Table; 3] = [Table::Live, Table::Cold, Table::Ordered];

/// Few partitions, nodes and keys, so that they meet.
const PARTITIONS: [PartitionId; 3] = [PartitionId(0), PartitionId(63), crate::META];

#[derive(Default)]
struct Model {
    head: Head,
    tables: BTreeMap<(Table, Bytes), Bytes>,
    last: BTreeMap<NodeId, Sent>,
    /// Batches sent at some time, newest last.
    sent: Vec<Sent>,
}

#[derive(Clone)]
struct Sent {
    expected: Head,
    batch: Arc<Batch>,
}

impl Model {
    fn commit(&mut self, sent: &Sent) -> Committed {
        let batch = &sent.batch;
        if self.head != sent.expected {
            let last = self.last.get(&batch.next.committer);
            return match last {
                Some(last)
                    if last.batch.incarnation == batch.incarnation
                        && last.batch.next.nonce == batch.next.nonce =>
                {
                    Committed::Yes(batch.next)
                }
                _ => Committed::Conflict(self.head),
            };
        }
        let present: Vec<_> =
            batch.absent.iter().filter(|key| self.tables.contains_key(*key)).cloned().collect();
        if !present.is_empty() {
            return Committed::Present(present);
        }
        for write in &batch.writes {
            let key = (write.table, write.key.clone());
            match &write.value {
                Some(value) => self.tables.insert(key, value.clone()),
                None => self.tables.remove(&key),
            };
        }
        self.head = batch.next;
        self.last.insert(batch.next.committer, sent.clone());
        Committed::Yes(batch.next)
    }

    fn rows(&self, table: Table) -> impl DoubleEndedIterator<Item = (Bytes, Bytes)> + '_ {
        self.tables.iter().filter(move |((t, _), _)| *t == table).map(|((_, k), v)| (k.clone(), v.clone()))
    }
}

/// Plays a script on a fresh store and compares every answer.
pub async fn play(fixture: &mut dyn Fixture, steps: &[Step]) -> Result<(), Failure> {
    let outcome = play_all(fixture, steps).await;
    outcome.map_err(|Reason(reason)| Failure { case: "script", reason })
}

async fn play_all(fixture: &mut dyn Fixture, steps: &[Step]) -> Result<(), Reason> {
    let mut models: BTreeMap<PartitionId, Model> =
        PARTITIONS.iter().map(|&p| (p, Model::default())).collect();
    for (at, step) in steps.iter().enumerate() {
        let [act, which, node, a, b, c] = *step;
        let store = match fixture.peer() {
            Some(peer) if node % 2 == 1 => peer,
            _ => fixture.store(),
        };
        let partition = PARTITIONS[usize::from(which) % PARTITIONS.len()];
        let Some(model) = models.get_mut(&partition) else { continue };
        let node = NodeId(u64::from(node % 3) + 1);
        let played = match act % 16 {
            0..=5 => commit_new(store.as_ref(), partition, model, node, at as u64, [a, b, c]).await,
            6 => commit_stale(store.as_ref(), partition, model, node, at as u64, a).await,
            7 | 8 => commit_again(store.as_ref(), partition, model, a).await,
            9 => compare_load(store.as_ref(), partition, model).await,
            10 | 11 => compare_range(store.as_ref(), partition, model, [a, b, c]).await,
            12 if a < 8 => {
                drop(store);
                fixture.reopen().await;
                Ok(())
            }
            _ => compare_get(store.as_ref(), partition, model, [a, b, c]).await,
        };
        played.map_err(|Reason(reason)| Reason(format!("step {at} of {step:?}: {reason}")))?;
    }
    for (&partition, model) in &models {
        compare_load(fixture.store().as_ref(), partition, model).await?;
        compare_range(fixture.store().as_ref(), partition, model, [0, 255, 255]).await?;
        for seed in 0..32 {
            compare_get(fixture.store().as_ref(), partition, model, [seed * 8, 3, seed]).await?;
        }
    }
    Ok(())
}

/// A key out of a few, short and long, with bytes that sort at the edges.
fn key(seed: u8) -> Bytes {
    let mut key = vec![seed % 32 * 8];
    if seed.is_multiple_of(3) {
        key.extend([0, seed % 2 * 255]);
    }
    key.into()
}

fn writes(at: u64, [a, b, c]: [u8; 3]) -> Vec<Write> {
    let mut writes = BTreeMap::new();
    for n in 0..=(a % 24) {
        let table = TABLES[usize::from(b.wrapping_add(n * 5)) % 3];
        let value = (c.wrapping_mul(n.wrapping_add(3)) % 4 != 0).then(|| {
            let text = format!("{at}.{n}");
            Bytes::from(text.repeat(usize::from(c % 3)))
        });
        writes.insert((table, key(c.wrapping_add(n.wrapping_mul(b)))), value);
    }
    writes.into_iter().map(|((table, key), value)| Write { table, key, value }).collect()
}

fn next(expected: Head, node: NodeId, at: u64) -> Head {
    Head {
        timeline: expected.timeline + u64::from(at % 50 == 49),
        version: expected.version + 1,
        nonce: (at + 1) * 1_000 + node.0,
        committer: node,
        now_ms: expected.now_ms + 1,
        level: 1,
    }
}

async fn send(
    store: &dyn Store,
    partition: PartitionId,
    model: &mut Model,
    sent: Sent,
) -> Result<(), Reason> {
    let wanted = model.commit(&sent);
    let seen = store.commit(partition, sent.expected, sent.batch.clone()).await?;
    let sorted = |answer: Committed| match answer {
        Committed::Present(mut keys) => {
            keys.sort();
            Committed::Present(keys)
        }
        other => other,
    };
    same(&sorted(seen), &sorted(wanted), "the answer to a commit")?;
    model.sent.push(sent);
    Ok(())
}

async fn commit_new(
    store: &dyn Store,
    partition: PartitionId,
    model: &mut Model,
    node: NodeId,
    at: u64,
    [a, b, c]: [u8; 3],
) -> Result<(), Reason> {
    let mut absent: Vec<_> = (0..(b % 8).saturating_sub(4))
        .map(|n| (TABLES[usize::from(n)], key(c.wrapping_mul(n + 2))))
        .collect();
    absent.dedup();
    let batch = Batch {
        next: next(model.head, node, at),
        incarnation: node.0,
        writes: writes(at, [a, b, c]),
        absent,
    };
    let sent = Sent { expected: model.head, batch: Arc::new(batch) };
    send(store, partition, model, sent).await
}

async fn commit_stale(
    store: &dyn Store,
    partition: PartitionId,
    model: &mut Model,
    node: NodeId,
    at: u64,
    a: u8,
) -> Result<(), Reason> {
    let expected = match model.sent.iter().rev().nth(usize::from(a % 4)) {
        Some(sent) => sent.expected,
        None => Head { nonce: 5, ..model.head },
    };
    let batch = Batch {
        next: next(expected, node, at),
        incarnation: node.0,
        writes: writes(at, [a, a, a]),
        absent: vec![],
    };
    send(store, partition, model, Sent { expected, batch: Arc::new(batch) }).await
}

async fn commit_again(
    store: &dyn Store,
    partition: PartitionId,
    model: &mut Model,
    a: u8,
) -> Result<(), Reason> {
    match model.sent.iter().rev().nth(usize::from(a % 6)).cloned() {
        Some(sent) => send(store, partition, model, sent).await,
        None => Ok(()),
    }
}

async fn compare_get(
    store: &dyn Store,
    partition: PartitionId,
    model: &Model,
    [a, b, c]: [u8; 3],
) -> Result<(), Reason> {
    let keys: Vec<_> = (0..=a % 10)
        .map(|n| (TABLES[usize::from(b.wrapping_add(n)) % 3], key(c.wrapping_add(n * 8))))
        .collect();
    let wanted: Vec<_> = keys.iter().map(|key| model.tables.get(key).cloned()).collect();
    let seen = store.get(partition, keys).await?;
    same(&(seen.values, seen.head), &(wanted, model.head), "get")
}

async fn compare_load(store: &dyn Store, partition: PartitionId, model: &Model) -> Result<(), Reason> {
    let (records, head) = load_caught_up(store, partition).await?;
    same(&(records, head), &(model.rows(Table::Live).collect(), model.head), "load")?;
    let (mut records, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = store.scan(partition, cursor).await?;
        same(&page.head, &model.head, "the head of a scan")?;
        records.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_none() {
            return same(&records, &model.rows(Table::Cold).collect(), "scan");
        }
    }
}

async fn compare_range(
    store: &dyn Store,
    partition: PartitionId,
    model: &Model,
    [a, b, c]: [u8; 3],
) -> Result<(), Reason> {
    let range = Range {
        from: vec![a].into(),
        to: vec![b, 255].into(),
        reverse: c % 2 == 1,
        limit: usize::from(c / 2) + 1,
    };
    let mut wanted: Vec<_> =
        model.rows(Table::Ordered).filter(|(key, _)| *key >= range.from && *key < range.to).collect();
    if range.reverse {
        wanted.reverse();
    }
    let seen = range_all(store, partition, range.clone()).await?;
    check(seen == wanted, format!("{range:?} saw {seen:?}, wanted {wanted:?}"))
}
