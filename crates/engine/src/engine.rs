//! The engine as server and SDK see it: requests in, replies out. Every method checks, asks partitions, and answers;
//! what happens to an execution is decided in core alone.
//!
//! | file | what |
//! |---|---|
//! | `engine/submit.rs` | work comes in |
//! | `engine/lease.rs` | plain claims and what is done under a lease |
//! | `engine/act.rs` | what an operator does to one execution |
//! | `engine/read.rs` | executions, results, and why they wait |
//! | `engine/events.rs` | what happens to an execution, as it happens |
//! | `engine/journal.rs` | its steps and its log |
//! | `engine/find.rs` | lists and counts |
//! | `engine/bulk.rs` | actions on many executions |
//! | `engine/lanes.rs` | lanes |
//! | `engine/budgets.rs`, `engine/holds.rs`, `engine/charges.rs` | budgets, what is held and what is spent |
//! | `engine/ledger.rs`, `engine/report.rs`, `engine/prices.rs` | what was spent, and what usage costs |
//! | `engine/workers.rs` | workers |
//! | `engine/store.rs`, `engine/doctor.rs` | the store as a whole, and what is wrong here |

mod act;
mod bridge;
mod budgets;
mod bulk;
mod charges;
mod claims;
mod copies;
mod doctor;
mod events;
mod find;
mod holds;
mod journal;
mod lanes;
mod lease;
mod ledger;
mod namespaces;
pub(crate) mod observe;
mod pieces;
mod prices;
mod read;
mod report;
mod store;
mod submit;
mod unserved;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use stint_api::{
    Code, EndReply, ExchangeReply, ExchangeRequest, ExecutionState, Limits, Problem, ReadyReply,
};
use stint_core::command::{Outcome, Release};
use stint_core::{Command, ExecutionId, LeaseRef, LeaseToken, PARTITIONS, PartitionId};
use stint_store::Store;
use tokio::sync::{Semaphore, watch};

use crate::edge::problem::{draining, problem};
use crate::edge::route::OpenPartitions;
use crate::exchange::{self, Sessions};
use crate::hub::Hub;
use crate::workers::Workers;
use crate::{EngineConfig, Node, NodeStats, OpenError, Waiters};
use bridge::Bridge;
use bulk::BulksUnderWay;
use claims::KeyedClaims;

pub(crate) use charges::More;
pub use events::EventStream;
pub(crate) use journal::logged;

/// A store that owes an answer for longer does not serve.
const UNANSWERED_MAX: Duration = Duration::from_secs(6);

/// A handle on a running engine. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// What the handles share.
pub(crate) struct Inner {
    pub(crate) node: Node,
    pub(crate) hub: Arc<Hub>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) sessions: Sessions,
    pub(crate) workers: Arc<Workers>,
    pub(crate) limits: Limits,
    name: String,
    open: OpenPartitions,
    claims: KeyedClaims,
    /// Actions on many executions that this node works on.
    bulks: BulksUnderWay,
    /// One backup at a time.
    backups: Arc<Semaphore>,
    draining: watch::Sender<bool>,
    drained: AtomicBool,
}

impl Engine {
    /// Opens a store and begins to serve it. Partitions are served one by one, each as soon as it is loaded.
    pub async fn open(store: Arc<dyn Store>, config: EngineConfig) -> Result<Self, OpenError> {
        let (hub, waiters) = (Hub::new(), Waiters::new());
        let (limits, name) = (config.limits, config.node.clone());
        let node = Node::open(store, config, hub.clone(), waiters.clone()).await?;
        hub.connect(Box::new(Bridge(node.weak())));
        let seed = (node.random() >> 64) as u64;
        let engine = Self(Arc::new(Inner {
            node,
            hub,
            waiters,
            sessions: Sessions::default(),
            workers: Arc::default(),
            limits,
            name,
            open: OpenPartitions::new(seed),
            claims: KeyedClaims::new(),
            bulks: BulksUnderWay::default(),
            backups: Arc::new(Semaphore::new(1)),
            draining: watch::Sender::new(false),
            drained: AtomicBool::new(false),
        }));
        bulk::resume_all(&engine.0);
        unserved::start(engine.0.node.shared(), &engine.0.workers);
        Ok(engine)
    }

    /// All a worker says and hears, in one call. Answered as soon as there is anything to say.
    pub async fn exchange(&self, request: ExchangeRequest) -> Result<ExchangeReply, Problem> {
        self.0.node.shared().tally.exchanged();
        exchange::exchange(&self.0, request).await
    }

    /// Whether all partitions are served.
    pub fn ready(&self) -> Result<ReadyReply, Problem> {
        if let Some(failure) = self.0.node.failure() {
            return Err(Problem::new(Code::StoreUnavailable, failure));
        }
        if self.0.is_draining() {
            return Err(draining());
        }
        let partitions = self.0.node.partitions_open();
        if partitions < u32::from(PARTITIONS) {
            let detail = format!("{partitions} of {PARTITIONS} partitions are open");
            return Err(Problem::new(Code::StoreUnavailable, detail));
        }
        let unanswered = self.0.node.unanswered();
        if unanswered > UNANSWERED_MAX {
            let detail = format!("the store has not answered for {} s", unanswered.as_secs());
            return Err(Problem::new(Code::StoreUnavailable, detail));
        }
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        Ok(ReadyReply { status: "ready".to_owned(), node: self.0.name.clone(), partitions, version })
    }

    /// Resolves when all partitions are served.
    pub async fn opened(&self) {
        self.0.node.opened().await;
    }

    /// Stops giving leases, answers who waits, finishes what is under way, and closes the store. A second call waits
    /// for nothing.
    pub async fn drain(&self) {
        if self.0.drained.swap(true, Relaxed) {
            return;
        }
        self.0.draining.send_replace(true);
        self.0.hub.close();
        self.0.node.drain().await;
    }

    /// Resolves when the store can't be used any more, and says why: the process has to end.
    pub async fn failed(&self) -> String {
        self.0.node.failed().await
    }

    /// The node below: its partitions as such, for tools and tests.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// Counters since the start.
    pub fn stats(&self) -> NodeStats {
        self.0.node.stats()
    }
}

impl Inner {
    /// Runs a command and answers when its outcome is committed.
    pub(crate) async fn call(&self, partition: PartitionId, command: Command) -> Result<Outcome, Problem> {
        self.node.call(partition, command).await.map_err(problem)
    }

    /// Whether the engine is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Resolves when the engine begins to shut down.
    pub(crate) async fn drains(&self) {
        // Its sender stands beside this.
        _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// The proof of new leases.
    pub(crate) fn token(&self) -> LeaseToken {
        LeaseToken(self.node.random().to_be_bytes())
    }

    /// Gives leases back that never reached their worker; without an attempt.
    pub(crate) fn give_back(&self, leases: impl IntoIterator<Item = LeaseRef>) {
        for lease in leases {
            let release = Release { lease, unfinished: false };
            self.node.post(lease.execution.partition(), Command::Release(release));
        }
    }

    /// Gives leases back that their worker must have heard of, and holds no more.
    pub(crate) fn give_back_dropped(&self, leases: impl IntoIterator<Item = LeaseRef>) {
        for lease in leases {
            let release = Release { lease, unfinished: true };
            self.node.post(lease.execution.partition(), Command::Release(release));
        }
    }

    /// Says of an execution that could start at once whether it is kept from it.
    pub(crate) async fn add_prospect(&self, id: ExecutionId, end: &mut EndReply) {
        if end.state != ExecutionState::Ready {
            return;
        }
        let look = move |partition: &stint_core::Partition| partition.blocked_by(id).is_some();
        // The end is recorded; without this the answer says a little less.
        if let Ok(true) = self.node.look(id.partition(), look).await {
            end.state = ExecutionState::Blocked;
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("name", &self.0.name).finish_non_exhaustive()
    }
}
