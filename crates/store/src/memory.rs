//! A store in memory, for tests, the test kit and the simulation.
//!
//! A [`MemoryStore`] is a handle: clones and [`MemoryStore::handle`]s share one content, as several nodes share one
//! server. Without a fault plan it never waits. With one, everything that can go wrong between a node and its
//! store goes wrong on demand, in virtual time, and the same way for the same seed.
//!
//! **Never here:** randomness of its own, threads, real sleeping.

mod clock;
mod faults;
mod partition;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use self::clock::StoreClock;
pub use self::faults::{Call, Fault, FaultPlan, Op, Rates, SeededFaults, Trouble};
pub use self::partition::Dump;
use self::partition::Partition;
use crate::contract::{
    Batch, Changes, Committed, Counters, Head, META, Page, PartitionId, Range, Room, Store, StoreError,
    Table, Values,
};

/// How a memory store is set up.
#[derive(Debug)]
pub struct MemoryConfig {
    /// Whether one process claims the store for itself, as with the embedded one.
    pub exclusive: bool,
    /// Its clock.
    pub clock: StoreClock,
    /// What goes wrong; `None` is a store that works.
    pub faults: Option<Box<dyn FaultPlan>>,
    /// Commits per partition that [`MemoryStore::lose`] can take back.
    pub history: usize,
    /// Rows of a page of [`Store::load`] and [`Store::scan`] at most.
    pub load_rows: usize,
    /// What [`Store::identity`] answers at first.
    pub identity: String,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            exclusive: false,
            clock: StoreClock::System,
            faults: None,
            history: 0,
            load_rows: 1_000,
            identity: "memory".to_owned(),
        }
    }
}

/// A time in which calls are not answered as they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Only calls of this handle, or of all.
    pub handle: Option<u64>,
    /// Only calls for this partition, or for all.
    pub partition: Option<PartitionId>,
    /// How long, from now.
    pub lasting: Duration,
    /// What calls see.
    pub kind: OutageKind,
}

/// What calls see in an [`Outage`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutageKind {
    /// `Unavailable`, at once.
    Refuse,
    /// No answer until it is over, then what they asked for.
    Hang,
}

/// A handle to a store in memory.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    number: u64,
    closed: Arc<AtomicBool>,
}

struct Shared {
    config: MemoryConfigKept,
    partitions: Vec<Mutex<Partition>>,
    faults: Option<Mutex<Box<dyn FaultPlan>>>,
    clock: clock::Running,
    identity: Mutex<String>,
    /// Room and outages are rare; one flag keeps them off the fast path.
    low: AtomicBool,
    outages: Mutex<Vec<(Instant, Outage)>>,
    outages_any: AtomicBool,
    calm: AtomicBool,
    commits: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
}

struct MemoryConfigKept {
    exclusive: bool,
    history: usize,
    load_rows: usize,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryConfig::default())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(config: MemoryConfig) -> Self {
        let shared = Shared {
            config: MemoryConfigKept {
                exclusive: config.exclusive,
                history: config.history,
                load_rows: config.load_rows.max(1),
            },
            partitions: (0..=META.0).map(|_| Mutex::default()).collect(),
            faults: config.faults.map(Mutex::new),
            clock: clock::Running::new(config.clock),
            identity: Mutex::new(config.identity),
            low: AtomicBool::new(false),
            outages: Mutex::default(),
            outages_any: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), number: 0, closed: Arc::default() }
    }

    /// Another handle to the same content, numbered for faults and outages, and closed on its own.
    pub fn handle(&self, number: u64) -> Self {
        Self { shared: self.shared.clone(), number, closed: Arc::default() }
    }

    /// Ends (or lets go on) all faults and outages; what is already late still arrives.
    pub fn calm(&self, calm: bool) {
        self.shared.calm.store(calm, Relaxed);
    }

    /// Begins an outage.
    pub fn outage(&self, outage: Outage) {
        lock(&self.shared.outages).push((Instant::now() + outage.lasting, outage));
        self.shared.outages_any.store(true, Relaxed);
    }

    /// Sets what [`Store::room`] answers.
    pub fn set_room(&self, room: Room) {
        self.shared.low.store(room == Room::Low, Relaxed);
    }

    /// Moves the store's clock by so many milliseconds, back or ahead.
    pub fn jump_clock(&self, ms: i64) {
        self.shared.clock.jump(ms);
    }

    /// Sets what [`Store::identity`] answers from now on.
    pub fn set_identity(&self, identity: &str) {
        identity.clone_into(&mut lock(&self.shared.identity));
    }

    /// Takes the last `n` confirmed commits of one partition back, as a fail-over does; how many were, at most
    /// the history that was asked for. A rolled-back store keeps no trace of them.
    pub fn lose(&self, partition: PartitionId, n: usize) -> usize {
        self.locked(partition).map_or(0, |mut p| p.lose(n))
    }

    /// A copy of all that a partition holds.
    pub fn dump(&self, partition: PartitionId) -> Dump {
        self.locked(partition).map(|p| p.dump()).unwrap_or_default()
    }

    /// Where a partition stands.
    pub fn head(&self, partition: PartitionId) -> Head {
        self.locked(partition).map(|p| p.head()).unwrap_or_default()
    }

    fn locked(&self, partition: PartitionId) -> Result<MutexGuard<'_, Partition>, StoreError> {
        self.shared
            .partitions
            .get(usize::from(partition.0))
            .map(lock)
            .ok_or_else(|| StoreError::Fatal(format!("partition {} does not exist", partition.0)))
    }

    fn apply(&self, partition: PartitionId, expected: Head, batch: &Batch) -> Result<Committed, StoreError> {
        let mut p = self.locked(partition)?;
        let fresh = p.head() == expected;
        let committed = p.commit(expected, batch, self.shared.config.history);
        if fresh && matches!(committed, Committed::Yes(_)) {
            self.shared.commits.fetch_add(1, Relaxed);
            self.shared.writes.fetch_add(batch.writes.len() as u64, Relaxed);
            self.shared.bytes.fetch_add(batch.bytes() as u64, Relaxed);
        }
        Ok(committed)
    }

    /// Lets the batch arrive once more after `wait`, whatever has become of its sender.
    fn apply_later(&self, wait: Duration, partition: PartitionId, expected: Head, batch: Arc<Batch>) {
        let store = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _nobody_waits = store.apply(partition, expected, &batch);
        });
    }

    /// Moves the head by a batch without writes, as a rival node would.
    fn rival(&self, partition: PartitionId, node: crate::NodeId, nonce: u64) -> Result<(), StoreError> {
        let mut p = self.locked(partition)?;
        let expected = p.head();
        let next = Head { version: expected.version + 1, nonce, committer: node, ..expected };
        let batch = Batch { next, incarnation: nonce, writes: Vec::new(), absent: Vec::new() };
        p.commit(expected, &batch, self.shared.config.history);
        Ok(())
    }

    /// Waits out or refuses what an outage covers, then answers what else goes wrong with this call.
    async fn meet(&self, call: Call, partition: Option<PartitionId>) -> Result<Option<Fault>, StoreError> {
        if self.closed.load(Relaxed) {
            return Err(StoreError::Unavailable("this handle is closed".to_owned()));
        }
        if self.shared.calm.load(Relaxed) {
            return Ok(None);
        }
        while self.shared.outages_any.load(Relaxed)
            && let Some((until, outage)) = self.outage_of(partition)
        {
            match outage.kind {
                OutageKind::Refuse => return Err(StoreError::Unavailable("outage".to_owned())),
                OutageKind::Hang => tokio::time::sleep_until(until).await,
            }
        }
        let Some(plan) = &self.shared.faults else { return Ok(None) };
        let fault = lock(plan).decide(Op { call, partition, handle: self.number });
        if fault.before > Duration::ZERO {
            tokio::time::sleep(fault.before).await;
        }
        Ok(Some(fault))
    }

    fn outage_of(&self, partition: Option<PartitionId>) -> Option<(Instant, Outage)> {
        let now = Instant::now();
        let mut outages = lock(&self.shared.outages);
        outages.retain(|(until, _)| *until > now);
        self.shared.outages_any.store(!outages.is_empty(), Relaxed);
        outages
            .iter()
            .find(|(_, outage)| {
                outage.handle.is_none_or(|handle| handle == self.number)
                    && outage.partition.is_none_or(|p| Some(p) == partition)
            })
            .copied()
    }

    /// A read with whatever goes wrong around it.
    async fn read<T>(
        &self,
        call: Call,
        partition: PartitionId,
        read: impl FnOnce(&Partition) -> T + Send,
    ) -> Result<T, StoreError> {
        let fault = self.meet(call, Some(partition)).await?.unwrap_or_default();
        let answer = match fault.trouble {
            Trouble::Unavailable | Trouble::LostRequest | Trouble::LostReply => {
                Err(StoreError::Unavailable("injected".to_owned()))
            }
            _ => self.locked(partition).map(|p| read(&p)),
        };
        wait_after(fault).await;
        answer
    }

    async fn commit_with(
        &self,
        fault: Fault,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> Result<Committed, StoreError> {
        let unknown = || Err(StoreError::Unknown("injected".to_owned()));
        let answer = match fault.trouble {
            Trouble::None | Trouble::TooOld => self.apply(partition, expected, &batch),
            Trouble::Unavailable => Err(StoreError::Unavailable("injected".to_owned())),
            Trouble::Full => Err(StoreError::Full("injected".to_owned())),
            Trouble::LostRequest => unknown(),
            Trouble::LostReply => self.apply(partition, expected, &batch).and_then(|_| unknown()),
            Trouble::Late(wait) => {
                self.apply_later(wait, partition, expected, batch);
                unknown()
            }
            Trouble::Repeat(wait) => {
                let answer = self.apply(partition, expected, &batch);
                self.apply_later(wait, partition, expected, batch);
                answer
            }
            Trouble::Rival { node, nonce } => {
                self.rival(partition, node, nonce).and_then(|()| self.apply(partition, expected, &batch))
            }
        };
        wait_after(fault).await;
        answer
    }
}

impl Store for MemoryStore {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            batch.validate(partition, expected)?;
            match self.meet(Call::Commit, Some(partition)).await? {
                None => self.apply(partition, expected, &batch),
                Some(fault) => self.commit_with(fault, partition, expected, batch).await,
            }
        })
    }

    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>> {
        Box::pin(self.read(Call::Get, partition, move |p| p.get(&keys)))
    }

    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        let rows = self.shared.config.load_rows;
        Box::pin(self.read(Call::Load, partition, move |p| p.load(cursor, rows)))
    }

    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(self.read(Call::Range, partition, move |p| p.range(&range)))
    }

    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        let rows = self.shared.config.load_rows;
        Box::pin(self.read(Call::Scan, partition, move |p| p.scan(cursor, rows)))
    }

    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            let fault = self.meet(Call::Changes, Some(partition)).await?.unwrap_or_default();
            let answer = match fault.trouble {
                Trouble::Unavailable => Err(StoreError::Unavailable("injected".to_owned())),
                Trouble::TooOld => Ok(Changes::TooOld),
                _ => self.locked(partition).map(|p| p.changes(since)),
            };
            wait_after(fault).await;
            answer
        })
    }

    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(async move {
            let fault = self.meet(Call::Clock, None).await?.unwrap_or_default();
            if fault.trouble == Trouble::Unavailable {
                return Err(StoreError::Unavailable("injected".to_owned()));
            }
            let now = self.shared.clock.now_ms();
            wait_after(fault).await;
            Ok(now)
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        let identity = lock(&self.shared.identity).clone();
        Box::pin(std::future::ready(Ok(identity)))
    }

    fn exclusive(&self) -> bool {
        self.shared.config.exclusive
    }

    fn room(&self) -> Room {
        if self.shared.low.load(Relaxed) { Room::Low } else { Room::Enough }
    }

    fn counters(&self) -> Counters {
        Counters {
            commits: self.shared.commits.load(Relaxed),
            writes: self.shared.writes.load(Relaxed),
            bytes: self.shared.bytes.load(Relaxed),
            syncs: 0,
            longest_commit_us: 0,
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.closed.store(true, Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn wait_after(fault: Fault) {
    if fault.after > Duration::ZERO {
        tokio::time::sleep(fault.after).await;
    }
}

/// A panic elsewhere leaves these values whole: nothing here panics between two changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
