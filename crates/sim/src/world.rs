//! All that one run shares: the plan, the store, the nodes, the checker and the trace.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stint_store::memory::{MemoryConfig, MemoryStore, SeededFaults, StoreClock};
use stint_store::{Head, PARTITIONS, PartitionId};

use crate::check::Checker;
use crate::dice::Dice;
use crate::node::{Life, Running};
use crate::plan::Plan;
use crate::seam::CountedFaults;
use crate::trace::Trace;
use crate::work::WorkerProcess;

/// When virtual time begins: an arbitrary day, in ms since 1970 UTC.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// Commits of a partition that can be lost again.
const HISTORY: usize = 100;

/// Calls of the store at one virtual instant: beyond, somebody asks without end.
const SPINS_MAX: u64 = 100_000;

/// See the module.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) store: MemoryStore,
    /// Chance at the seams.
    pub(crate) dice: Dice,
    pub(crate) workers: Vec<WorkerProcess>,
    trace: Arc<Trace>,
    check: Mutex<Checker>,
    nodes: Vec<Mutex<Node>>,
    calm: AtomicBool,
    jobs: AtomicU64,
    /// Virtual instant, and calls of the store in it.
    spins: Mutex<(u64, u64)>,
}

#[derive(Default)]
struct Node {
    life: Option<Life>,
    running: Option<Running>,
}

impl World {
    /// Nodes on the one store.
    pub(crate) const NODES: usize = 2;

    /// The node that learns a newer level last, where a plan asks for two.
    pub(crate) const OLDER: usize = 1;

    /// What a handler says when it panics on purpose.
    pub(crate) const PLANNED: &'static str = "a planned panic";

    pub(crate) fn new(plan: Plan, prints: bool) -> Arc<Self> {
        let seed = plan.seed;
        let trace = Arc::new(Trace::new(prints));
        let faults = SeededFaults::new(Dice::new(seed, "store").draw(), plan.store);
        let store = MemoryStore::new(MemoryConfig {
            exclusive: false,
            clock: StoreClock::Virtual(BEGINNING_MS),
            faults: Some(Box::new(CountedFaults::new(faults, Arc::clone(&trace)))),
            history: HISTORY,
            load_rows: plan.load_rows,
            identity: "first".to_owned(),
        });
        let check = Mutex::new(Checker::new(store.clone(), &plan));
        Arc::new(Self {
            workers: (0..plan.workers).map(|_| WorkerProcess::default()).collect(),
            plan,
            store,
            dice: Dice::new(seed, "seams"),
            trace,
            check,
            nodes: (0..Self::NODES).map(|_| Mutex::default()).collect(),
            calm: AtomicBool::new(false),
            jobs: AtomicU64::new(0),
            spins: Mutex::default(),
        })
    }

    /// The checker. Never kept over an await.
    pub(crate) fn check(&self) -> MutexGuard<'_, Checker> {
        self.check.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        self.trace.say(what);
    }

    /// Whether faults have stopped.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Relaxed)
    }

    /// Stops all faults.
    pub(crate) fn calm(&self) {
        self.say(format_args!("calm"));
        self.calm.store(true, Relaxed);
        self.store.calm(true);
        self.store.set_room(stint_store::Room::Enough);
        for worker in &self.workers {
            worker.go_on(self);
        }
        if self.plan.levels {
            // The rolling upgrade ends: the older node comes back as a newer one.
            for life in (0..Self::NODES).filter_map(|node| self.life(node)) {
                life.kill();
            }
        }
    }

    /// Counts a call of the store; whether so many came at one instant that time can't go on otherwise.
    pub(crate) fn spins(&self) -> bool {
        let now = self.trace.elapsed_ms();
        let mut spins = self.spins.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, calls) = *spins;
        *spins = if at == now { (at, calls + 1) } else { (now, 0) };
        calls > SPINS_MAX
    }

    pub(crate) fn next_job(&self) -> u64 {
        self.jobs.fetch_add(1, Relaxed) + 1
    }

    /// Submissions so far.
    pub(crate) fn jobs(&self) -> u64 {
        self.jobs.load(Relaxed)
    }

    /// Where every partition but the members' stands.
    pub(crate) fn heads(&self) -> Vec<(u8, Head)> {
        (0..PARTITIONS).map(|p| (p, self.store.head(PartitionId(p)))).collect()
    }

    /// How long a node that died stays away.
    pub(crate) fn down_time(&self) -> Duration {
        let most = if self.dice.chance(700) { 2_000 } else { 60_000 };
        Duration::from_millis(self.dice.below(most))
    }

    pub(crate) fn starting(&self, node: usize, life: Life) {
        self.with_node(node, |state| state.life = Some(life));
    }

    pub(crate) fn started(&self, node: usize, running: Running) {
        self.with_node(node, |state| state.running = Some(running));
    }

    pub(crate) fn stopped(&self, node: usize) {
        self.check().node_died(node);
        self.with_node(node, |state| *state = Node::default());
    }

    /// The node, if it is open.
    pub(crate) fn running(&self, node: usize) -> Option<Running> {
        let mut found = None;
        self.with_node(node, |state| found.clone_from(&state.running));
        found
    }

    /// The node's life, if it is open or about to be.
    pub(crate) fn life(&self, node: usize) -> Option<Life> {
        let mut found = None;
        self.with_node(node, |state| found.clone_from(&state.life));
        found
    }

    fn with_node(&self, node: usize, change: impl FnOnce(&mut Node)) {
        if let Some(state) = self.nodes.get(node) {
            change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
