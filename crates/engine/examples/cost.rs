//! What a task costs in the engine alone: submissions, claims and completions straight at the node, on the store given.
//!
//! `cargo run --release -p stint-engine --example cost -- embedded:DIR|memory [TASKS] [IN_FLIGHT]`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use stint_core::command::{ClaimFilter, Complete, Outcome, Release, Submission, Submit};
use stint_core::model::{Capabilities, DEFAULT_POLICY, Payload, Worker};
use stint_core::{Command, ExecutionId, LeaseRef, LeaseToken, PartitionId};
use stint_engine::hub::{Hub, Reservation, Serve, Wanted};
use stint_engine::{EngineConfig, Node, Waiters, WeakNode};
use stint_store::Store;
use stint_store::embedded::{EmbeddedConfig, EmbeddedStore};
use stint_store::memory::{MemoryConfig, MemoryStore};
use tokio::sync::Semaphore;

/// Leases of one claim.
const LEASES: usize = 32;

struct ToNode(WeakNode);

impl Serve for ToNode {
    fn serve(&self, partition: PartitionId, reservation: Reservation) {
        self.0.serve(partition, reservation);
    }

    fn release(&self, leases: Vec<LeaseRef>) {
        for lease in leases {
            self.0.post(lease.execution.partition(), Command::Release(Release { lease, unfinished: false }));
        }
    }
}

fn filter() -> ClaimFilter {
    ClaimFilter {
        namespace: "default".into(),
        lanes: vec!["default".into()],
        kinds: vec!["work".into()],
        capabilities: Capabilities::default(),
    }
}

fn submission(id: ExecutionId) -> Submission {
    Submission {
        id,
        derived: false,
        namespace: "default".into(),
        lane: "default".into(),
        kind: "work".into(),
        requires: Vec::new(),
        prefer: Vec::new(),
        policy: DEFAULT_POLICY,
        priority: 0,
        due_at: None,
        delay_ms: None,
        fairness_key: None,
        tags: Vec::new(),
        key: None,
        key_text: None,
        input: Payload { bytes: vec![b'1'; 100].into(), content_type: None },
        traceparent: None,
        known_only: false,
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let place = args.next().unwrap_or_else(|| "memory".to_owned());
    let tasks: u64 = args.next().map_or(Ok(200_000), |text| text.parse())?;
    let in_flight: u64 = args.next().map_or(Ok(256), |text| text.parse())?;
    let store: Arc<dyn Store> = match place.strip_prefix("embedded:") {
        Some(directory) => EmbeddedStore::open(EmbeddedConfig::new(directory))?,
        None => Arc::new(MemoryStore::new(MemoryConfig { exclusive: true, ..MemoryConfig::default() })),
    };
    let hub = Hub::new();
    let node = Node::open(store, EngineConfig::default(), hub.clone(), Waiters::new()).await?;
    hub.connect(Box::new(ToNode(node.weak())));
    node.opened().await;

    let began = Instant::now();
    let submitted = Arc::new(AtomicU64::new(0));
    let completed = Arc::new(AtomicU64::new(0));
    let partitions = (in_flight / 32).max(1);
    let slots = Arc::new(Semaphore::new(in_flight as usize));
    let mut running = Vec::new();
    for _ in 0..in_flight {
        let (node, submitted, slots) = (node.clone(), submitted.clone(), slots.clone());
        running.push(tokio::spawn(async move {
            while submitted.fetch_add(1, Relaxed) < tasks
                && let Ok(slot) = slots.acquire().await
            {
                // Given back when the task is completed.
                slot.forget();
                let random = node.random();
                let partition = PartitionId((random % u128::from(partitions)) as u8);
                let id = ExecutionId::fresh(node.now(), partition, random);
                let submit = Command::Submit(Submit { items: vec![submission(id)] });
                if let Err(error) = node.call(partition, submit).await {
                    eprintln!("submit: {error}");
                }
            }
        }));
    }
    for _ in 0..in_flight.div_ceil(LEASES as u64) {
        let (node, hub, completed, slots) = (node.clone(), hub.clone(), completed.clone(), slots.clone());
        running.push(tokio::spawn(async move {
            let filter = Arc::new(filter());
            while completed.load(Relaxed) < tasks {
                let token = LeaseToken(node.random().to_be_bytes());
                let worker = Worker { name: "w".into(), session: 0 };
                let parked = hub.park(Wanted { token, worker, filter: filter.clone(), max: LEASES });
                let watch = parked.watch();
                _ = tokio::time::timeout(std::time::Duration::from_millis(200), watch.answerable()).await;
                let leases = parked.settle().await;
                for lease in leases {
                    let lease = lease.grant.lease;
                    let (node, completed, slots) = (node.clone(), completed.clone(), slots.clone());
                    tokio::spawn(async move {
                        let output = Payload { bytes: vec![b'2'; 20].into(), content_type: None };
                        let complete = Command::Complete(Complete { lease, output });
                        match node.call(lease.execution.partition(), complete).await {
                            Ok(Outcome::Ended(_)) => _ = completed.fetch_add(1, Relaxed),
                            other => eprintln!("complete: {other:?}"),
                        }
                        slots.add_permits(1);
                    });
                }
            }
        }));
    }
    for task in running {
        task.await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let stats = node.stats();
    println!(
        "{:.0} tasks/s, {:.1} commands a commit, {:.1} writes and {:.0} bytes a task, {} syncs; {stats:?}",
        tasks as f64 / seconds,
        stats.commands as f64 / stats.commits.max(1) as f64,
        stats.writes as f64 / tasks as f64,
        stats.store.bytes as f64 / tasks as f64,
        stats.store.syncs,
    );
    node.drain().await;
    Ok(())
}
