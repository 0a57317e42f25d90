//! How long a start takes after much has come and gone:
//! `load_after_churn [DIR] [LIVE] [FINISHED] [VALUE_BYTES]`, by default 100,000 live after 1,000,000 finished.
//!
//! Every finished record was put and deleted a while later, in its partition of 64, beside a cold record that stays.
//! Prints how long opening and loading take, after a clean end and again when everything has been compacted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use stint_store::embedded::{Durability, EmbeddedConfig, EmbeddedStore};
use stint_store::{Batch, Committed, Head, NodeId, PARTITIONS, PartitionId, Store, Table, Write};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Records of a partition that are open at a time.
const OPEN_AT_A_TIME: u64 = 500;

/// Records that one batch puts.
const BATCH: u64 = 250;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let scratch = tempfile::tempdir()?;
    let path = arguments.first().map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let (live, finished) = (number(1, 100_000)?, number(2, 1_000_000)?);
    let value = Bytes::from(vec![b'v'; usize::try_from(number(3, 200)?)?]);
    let config = EmbeddedConfig { durability: Durability::Os, ..EmbeddedConfig::new(path) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let since = Instant::now();
        let store = EmbeddedStore::open(config.clone())?;
        let share = |all: u64| all.div_ceil(u64::from(PARTITIONS));
        let tasks: Vec<_> = (0..PARTITIONS)
            .map(|p| {
                tokio::spawn(churn(
                    store.clone(),
                    PartitionId(p),
                    share(live),
                    share(finished),
                    value.clone(),
                ))
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        println!("{{\"written_in_seconds\": {:.1}}}", since.elapsed().as_secs_f64());
        store.close().await?;
        drop(store);
        for _ in 0..2 {
            measure(&config, share(live) * u64::from(PARTITIONS)).await?;
        }
        Ok(())
    })
}

async fn measure(config: &EmbeddedConfig, wanted: u64) -> Result<(), Failed> {
    let since = Instant::now();
    let store = EmbeddedStore::open(config.clone())?;
    let opened = since.elapsed();
    let (mut rows, mut longest) = (0, 0.0_f64);
    for p in 0..PARTITIONS {
        let (begun, mut cursor) = (Instant::now(), None);
        loop {
            let page = store.load(PartitionId(p), cursor).await?;
            rows += page.rows.len() as u64;
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        longest = longest.max(begun.elapsed().as_secs_f64());
    }
    println!(
        "{{\"open_seconds\": {:.2}, \"load_seconds\": {:.2}, \"longest_partition_seconds\": {longest:.3}, \"rows\": {rows}}}",
        opened.as_secs_f64(),
        (since.elapsed() - opened).as_secs_f64(),
    );
    if rows != wanted {
        return Err(format!("{rows} rows were loaded, {wanted} are live").into());
    }
    store.close().await?;
    Ok(())
}

/// Puts records and deletes them when enough newer ones are open; the last `live` stay.
async fn churn(
    store: Arc<EmbeddedStore>,
    partition: PartitionId,
    live: u64,
    finished: u64,
    value: Bytes,
) -> Result<(), Failed> {
    let (mut at, mut put, mut deleted) = (Head::default(), 0, 0);
    while put < finished + live {
        let mut writes = Vec::new();
        for _ in 0..BATCH.min(finished + live - put) {
            writes.push(Write { table: Table::Live, key: key(partition, put), value: Some(value.clone()) });
            put += 1;
            if put - deleted > OPEN_AT_A_TIME && deleted < finished {
                writes.push(Write { table: Table::Live, key: key(partition, deleted), value: None });
                writes.push(Write {
                    table: Table::Cold,
                    key: key(partition, deleted),
                    value: Some(value.slice(..20)),
                });
                deleted += 1;
            }
        }
        at = commit(&store, partition, at, writes).await?;
    }
    while deleted < finished {
        let last = finished.min(deleted + BATCH);
        let writes =
            (deleted..last).map(|n| Write { table: Table::Live, key: key(partition, n), value: None });
        at = commit(&store, partition, at, writes.collect()).await?;
        deleted = last;
    }
    Ok(())
}

async fn commit(
    store: &EmbeddedStore,
    partition: PartitionId,
    at: Head,
    writes: Vec<Write>,
) -> Result<Head, Failed> {
    let next = Head { version: at.version + 1, nonce: at.nonce + 1, committer: NodeId(1), ..at };
    match store
        .commit(partition, at, Arc::new(Batch { next, incarnation: 1, writes, absent: Vec::new() }))
        .await?
    {
        Committed::Yes(head) => Ok(head),
        other => Err(format!("somebody else uses this store: {other:?}").into()),
    }
}

/// A kind byte, the time-ordered half of an id, and a half that looks random.
fn key(partition: PartitionId, number: u64) -> Bytes {
    let mut key = vec![b'x'];
    key.extend(number.to_be_bytes());
    key.extend((number ^ u64::from(partition.0)).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key.into()
}
