//! A node to test with, and the commands to send it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use stint_core::command::{
    Claim, ClaimFilter, Complete, Grant, Outcome, Show, Shown, Submission, Submit, Submitted,
};
use stint_core::model::{Capabilities, DEFAULT_POLICY, Payload, Policy, Worker};
use stint_core::{Command, ExecutionId, LeaseRef, LeaseToken, Millis, PartitionId};
use stint_engine::hub::{Hub, Reservation, Serve};
use stint_engine::{CallError, EngineConfig, Node, OpenError, Waiters, WeakNode};
use stint_store::Store;
use stint_store::memory::{FaultPlan, MemoryConfig, MemoryStore, StoreClock};

/// When virtual time begins.
pub(crate) const START: Millis = 1_800_000_000_000;

/// The partition most tests use.
pub(crate) const HERE: PartitionId = PartitionId(7);

static IDS: AtomicU64 = AtomicU64::new(1);

/// A node and its hub.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) hub: Arc<Hub>,
}

struct ToNode(WeakNode);

impl Serve for ToNode {
    fn serve(&self, partition: PartitionId, reservation: Reservation) {
        self.0.serve(partition, reservation);
    }

    fn release(&self, leases: Vec<LeaseRef>) {
        for lease in leases {
            let release = stint_core::command::Release { lease, unfinished: false };
            self.0.post(lease.execution.partition(), Command::Release(release));
        }
    }
}

/// A store in virtual time.
pub(crate) fn store(exclusive: bool, faults: Option<Box<dyn FaultPlan>>) -> MemoryStore {
    let clock = StoreClock::Virtual(START);
    MemoryStore::new(MemoryConfig { exclusive, clock, faults, history: 1_000, ..MemoryConfig::default() })
}

/// A node that is fully open.
pub(crate) async fn open(store: &MemoryStore, name: &str) -> Running {
    open_with(store, config(name)).await
}

pub(crate) fn config(name: &str) -> EngineConfig {
    // Two nodes of one seed would draw the same tokens.
    let seed = name.bytes().map(u64::from).sum();
    EngineConfig { node: name.to_owned(), seed: Some(seed), share: true, ..EngineConfig::default() }
}

/// A node that is fully open.
pub(crate) async fn open_with(store: &MemoryStore, config: EngineConfig) -> Running {
    let running = try_open(store, config).await.unwrap();
    running.node.opened().await;
    running
}

/// A node that may not open, or not all of its partitions.
pub(crate) async fn try_open(store: &MemoryStore, config: EngineConfig) -> Result<Running, OpenError> {
    try_open_any(Arc::new(store.clone()), config).await
}

pub(crate) async fn try_open_any(store: Arc<dyn Store>, config: EngineConfig) -> Result<Running, OpenError> {
    let hub = Hub::new();
    let node = Node::open(store, config, hub.clone(), Waiters::new()).await?;
    hub.connect(Box::new(ToNode(node.weak())));
    Ok(Running { node, hub })
}

/// The node's projection is what the store holds.
pub(crate) async fn agrees(running: &Running, store: &MemoryStore) {
    let records = running.node.look(HERE, |partition| partition.records().collect::<Vec<_>>()).await.unwrap();
    let known: Vec<_> = records.into_iter().map(|(key, value)| (key.bytes, Bytes::from(value))).collect();
    let mut known: BTreeMap<_, _> = known.into_iter().collect();
    let stored = store.dump(stint_store::PartitionId(HERE.0)).live;
    for (key, value) in stored {
        assert_eq!(known.remove(&key), Some(value), "{key:?}");
    }
    assert!(known.is_empty(), "{known:?}");
}

/// A fresh id in [`HERE`].
pub(crate) fn id() -> ExecutionId {
    ExecutionId::fresh(START, HERE, u128::from(IDS.fetch_add(1, Relaxed)))
}

/// A submission with nothing special.
pub(crate) fn submission(id: ExecutionId) -> Submission {
    Submission {
        id,
        derived: false,
        namespace: "default".into(),
        lane: "default".into(),
        kind: "test".into(),
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
        input: payload("{}"),
        traceparent: None,
        known_only: false,
    }
}

/// A policy whose leases last so long.
pub(crate) fn lease_ttl(ttl: Duration) -> Policy {
    Policy { lease_ttl_ms: ttl.as_millis() as Millis, ..DEFAULT_POLICY }
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload { bytes: text.to_owned().into(), content_type: None }
}

pub(crate) fn filter() -> ClaimFilter {
    ClaimFilter {
        namespace: "default".into(),
        lanes: vec!["default".into()],
        kinds: Vec::new(),
        capabilities: Capabilities::default(),
    }
}

pub(crate) fn worker(session: u64) -> Worker {
    Worker { name: "tester".into(), session }
}

pub(crate) fn token() -> LeaseToken {
    LeaseToken(u128::from(IDS.fetch_add(1, Relaxed)).to_be_bytes())
}

impl Running {
    pub(crate) async fn submit(&self, submission: Submission) -> Submitted {
        let partition = submission.id.partition();
        match self.node.call(partition, Command::Submit(Submit { items: vec![submission] })).await {
            Ok(Outcome::Submitted(mut items)) => items.pop().unwrap().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn try_submit(&self, submission: Submission) -> Result<Submitted, CallError> {
        let partition = submission.id.partition();
        match self.node.call(partition, Command::Submit(Submit { items: vec![submission] })).await? {
            Outcome::Submitted(mut items) => Ok(items.pop().unwrap().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn claim(&self, max: usize) -> Vec<Grant> {
        let claim = Claim { token: token(), worker: worker(0), filter: filter(), max, until: Millis::MAX };
        match self.node.call(HERE, Command::Claim(claim)).await {
            Ok(Outcome::Leased(grants, _)) => grants,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn complete(
        &self,
        lease: LeaseRef,
        output: &str,
    ) -> Result<Outcome, stint_engine::CallError> {
        let complete = Complete { lease, output: payload(output) };
        self.node.call(lease.execution.partition(), Command::Complete(complete)).await
    }

    pub(crate) async fn show(&self, id: ExecutionId) -> Shown {
        self.try_show(id).await.unwrap()
    }

    pub(crate) async fn try_show(&self, id: ExecutionId) -> Result<Shown, CallError> {
        let show = Show { namespace: None, id, output: true };
        match self.node.call(id.partition(), Command::Show(show)).await? {
            Outcome::Shown(shown) => Ok(*shown),
            other => panic!("{other:?}"),
        }
    }
}
