//! What the Valkey store costs the server: `valkey_raw [valkey|redis] [SECONDS]` prints JSON lines.
//!
//! Starts servers of its own. A task here is what the engine writes for one: submit puts a live and a cold record,
//! lease puts the live one again, complete deletes it, puts the cold one and one index key; each batch also puts one
//! log record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stint_store::valkey::{Ack, ValkeyConfig, ValkeyStore};
use stint_store::{Batch, Committed, Head, NodeId, PartitionId, Store, Table, Write};
use stint_test_support::{Cluster, Flavour, Server};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PARTITIONS: u8 = 16;
const LIVE_BYTES: usize = 75;
const COLD_BYTES: usize = 115;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let flavour = match arguments.next().as_deref() {
        Some("redis") => Flavour::Redis,
        _ => Flavour::Valkey,
    };
    let lasting = Duration::from_secs(arguments.next().map_or(Ok(5), |seconds| seconds.parse())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for tasks_per_batch in [1, 8, 32, 128] {
            lifecycles(flavour, tasks_per_batch, lasting).await?;
        }
        queued(flavour, 200_000).await?;
        for (name, table, value_bytes) in [
            ("live", Table::Live, LIVE_BYTES),
            ("cold", Table::Cold, LIVE_BYTES),
            ("ordered", Table::Ordered, LIVE_BYTES),
            ("ordered_key_alone", Table::Ordered, 0),
        ] {
            entries(flavour, name, table, value_bytes, 100_000).await?;
        }
        idle(flavour).await
    })
}

/// Whole lifecycles as fast as they go.
async fn lifecycles(flavour: Flavour, tasks_per_batch: u64, lasting: Duration) -> Result<()> {
    let (server, store) = start(flavour).await?;
    let (began, cpu, before) = (Instant::now(), server.cpu()?, store.counters());
    let partitions = (0..PARTITIONS).map(|p| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut at = Cursor::new(store, p);
            let mut tasks = 0;
            while began.elapsed() < lasting {
                let ids = tasks..tasks + tasks_per_batch;
                let log = (Table::Ordered, at.log_key(), Some(vec![1; 25 * tasks_per_batch as usize]));
                let submit = ids.clone().flat_map(|id| {
                    [
                        (Table::Live, key(p, id), Some(vec![2; LIVE_BYTES])),
                        (Table::Cold, key(p, id), Some(vec![3; COLD_BYTES])),
                    ]
                });
                at.commit(submit.chain([log.clone()])).await?;
                let log = (Table::Ordered, at.log_key(), log.2);
                let lease = ids.clone().map(|id| (Table::Live, key(p, id), Some(vec![4; LIVE_BYTES + 20])));
                at.commit(lease.chain([log.clone()])).await?;
                let log = (Table::Ordered, at.log_key(), log.2);
                let complete = ids.clone().flat_map(|id| {
                    let mut end = vec![b'e'];
                    end.extend_from_slice(&key(p, id));
                    [
                        (Table::Live, key(p, id), None),
                        (Table::Cold, key(p, id), Some(vec![5; 2 * COLD_BYTES])),
                        (Table::Ordered, end, Some(vec![])),
                    ]
                });
                at.commit(complete.chain([log])).await?;
                tasks += tasks_per_batch;
            }
            Result::<u64>::Ok(tasks)
        })
    });
    let mut tasks = 0;
    for partition in partitions.collect::<Vec<_>>() {
        tasks += partition.await??;
    }
    let (took, cpu) = (began.elapsed(), server.cpu()? - cpu);
    let after = store.counters();
    let (commits, writes) = (after.commits - before.commits, after.writes - before.writes);
    let cpu_us = cpu.as_secs_f64() * 1e6;
    println!(
        "{{\"tasks_per_batch\": {tasks_per_batch}, \"tasks_per_second\": {:.0}, \"commits_per_second\": {:.0}, \
         \"server_cpu_us_per_task\": {:.2}, \"server_cpu_us_per_write\": {:.2}, \"server_cpu_us_per_commit\": {:.1}, \
         \"longest_commit_us\": {}}}",
        tasks as f64 / took.as_secs_f64(),
        commits as f64 / took.as_secs_f64(),
        cpu_us / tasks as f64,
        cpu_us / writes as f64,
        cpu_us / commits as f64,
        after.longest_commit_us,
    );
    Ok(())
}

/// Memory of tasks that wait, and how fast they load.
async fn queued(flavour: Flavour, tasks: u64) -> Result<()> {
    let (server, store) = start(flavour).await?;
    let before = server.info("memory", "used_memory")?;
    for p in 0..PARTITIONS {
        let mut at = Cursor::new(store.clone(), p);
        let mut id = 0;
        while id < tasks / u64::from(PARTITIONS) {
            let log = (Table::Ordered, at.log_key(), Some(vec![1; 25 * 32]));
            let submit = (id..id + 32).flat_map(|id| {
                [
                    (Table::Live, key(p, id), Some(vec![2; LIVE_BYTES])),
                    (Table::Cold, key(p, id), Some(vec![3; COLD_BYTES])),
                ]
            });
            at.commit(submit.chain([log])).await?;
            id += 32;
        }
    }
    let bytes = (server.info("memory", "used_memory")? - before) / tasks as f64;
    let (began, cpu) = (Instant::now(), server.cpu()?);
    let mut loaded = 0;
    for p in 0..PARTITIONS {
        let mut cursor = None;
        loop {
            let page = store.load(PartitionId(p), cursor).await?;
            loaded += page.rows.len();
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    println!(
        "{{\"queued_tasks\": {tasks}, \"bytes_per_queued_task\": {bytes:.0}, \"loaded_per_second\": {:.0}, \
         \"load_server_cpu_us_per_record\": {:.2}}}",
        loaded as f64 / began.elapsed().as_secs_f64(),
        (server.cpu()? - cpu).as_secs_f64() * 1e6 / loaded as f64,
    );
    Ok(())
}

/// Memory and CPU of one record of a table.
async fn entries(flavour: Flavour, name: &str, table: Table, value_bytes: usize, count: u64) -> Result<()> {
    let (server, store) = start(flavour).await?;
    let (before, cpu) = (server.info("memory", "used_memory")?, server.cpu()?);
    let mut at = Cursor::new(store, 0);
    for first in (0..count).step_by(500) {
        at.commit((first..first + 500).map(|id| (table, key(0, id), Some(vec![7; value_bytes])))).await?;
    }
    println!(
        "{{\"table\": \"{name}\", \"value_bytes\": {value_bytes}, \"bytes_per_record\": {:.0}, \
         \"server_cpu_us_per_put\": {:.2}}}",
        (server.info("memory", "used_memory")? - before) / count as f64,
        (server.cpu()? - cpu).as_secs_f64() * 1e6 / count as f64,
    );
    Ok(())
}

/// Commands of a store that nobody calls, on one server and on a cluster.
async fn idle(flavour: Flavour) -> Result<()> {
    let (server, store) = start(flavour).await?;
    println!("{{\"idle_commands_in_3_s\": {}}}", commands_in_3_s(std::slice::from_ref(&server)).await?);
    store.close().await?;
    let cluster = Cluster::start(flavour, 3)?;
    let store = open(cluster.url()).await?;
    println!("{{\"idle_cluster_commands_in_3_s\": {}}}", commands_in_3_s(cluster.nodes()).await?);
    Ok(store.close().await?)
}

async fn commands_in_3_s(servers: &[Server]) -> Result<f64> {
    let total = || -> Result<f64> {
        let mut total = 0.0;
        for server in servers {
            total += server.info("stats", "total_commands_processed")?;
        }
        Ok(total)
    };
    let before = total()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The first look is counted by the second.
    Ok(total()? - before - servers.len() as f64)
}

async fn start(flavour: Flavour) -> Result<(Server, Arc<ValkeyStore>)> {
    let server = Server::start(flavour)?;
    let store = open(server.url()).await?;
    Ok((server, store))
}

async fn open(url: String) -> Result<Arc<ValkeyStore>> {
    Ok(ValkeyStore::open(ValkeyConfig { url, prefix: "stint".to_owned(), ack: Ack::Memory }).await?)
}

/// A key of 17 bytes: a kind and 16 bytes that begin with the time, as ids do.
fn key(partition: u8, id: u64) -> Vec<u8> {
    let mut key = vec![b'x'];
    key.extend_from_slice(&(1_700_000_000_000 + id).to_be_bytes()[2..]);
    key.push(partition);
    key.extend_from_slice(&id.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key.extend_from_slice(&[0; 1]);
    key
}

/// A partition's writer.
struct Cursor {
    store: Arc<ValkeyStore>,
    partition: PartitionId,
    head: Head,
}

impl Cursor {
    fn new(store: Arc<ValkeyStore>, partition: u8) -> Self {
        Self { store, partition: PartitionId(partition), head: Head::default() }
    }

    fn log_key(&self) -> Vec<u8> {
        let mut key = vec![b'l'];
        key.extend_from_slice(&self.head.version.to_be_bytes());
        key
    }

    async fn commit(
        &mut self,
        writes: impl IntoIterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<()> {
        let version = self.head.version + 1;
        let next = Head { version, nonce: version, committer: NodeId(1), now_ms: 1, level: 1, ..self.head };
        let writes = writes.into_iter().map(|(table, key, value)| Write {
            table,
            key: key.into(),
            value: value.map(Bytes::from),
        });
        let batch = Batch { next, incarnation: 1, writes: writes.collect(), absent: vec![] };
        match self.store.commit(self.partition, self.head, Arc::new(batch)).await? {
            Committed::Yes(head) => self.head = head,
            other => return Err(format!("answered {other:?}").into()),
        }
        Ok(())
    }
}
