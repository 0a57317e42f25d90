//! The store's edge as one node sees it: cut off when the node dies, watched by the checker, and the place of most
//! planted bugs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stint_core::{EventKind, event};
use stint_store::memory::MemoryStore;
use stint_store::{
    Batch, Changes, Committed, Counters, Head, META, Page, PartitionId, Range, Room, Store, StoreError,
    Table, Values, Write,
};

use super::bend;
use crate::invariant::Invariant;
use crate::node::{Life, level};
use crate::plant::Plant;
use crate::world::World;

/// See the module.
pub(crate) struct SeamStore {
    world: Arc<World>,
    inner: MemoryStore,
    life: Life,
    /// The head of the first page, of partitions that are being loaded.
    loading: Mutex<BTreeMap<PartitionId, Head>>,
}

impl SeamStore {
    pub(crate) fn new(world: &Arc<World>, life: Life) -> Self {
        let inner = world.store.handle(life.node() as u64);
        Self { world: Arc::clone(world), inner, life, loading: Mutex::default() }
    }

    /// A head as this node reads it: a planted bug hides that it is of a level that the node is too old for.
    fn read(&self, partition: PartitionId, head: Head) -> Head {
        let hides = self.hides_level() && partition != META;
        if hides {
            Head { level: head.level.min(level(&self.world, self.life.node())), ..head }
        } else {
            head
        }
    }

    /// A head as the store knows it, if this node has read it with its level hidden.
    fn unread(&self, partition: PartitionId, head: Head) -> Head {
        let is = self.inner.head(partition);
        if self.read(partition, is) == head { is } else { head }
    }

    fn hides_level(&self) -> bool {
        self.world.plan.plant == Some(Plant::HideLevel)
    }

    /// Waits for the call's answer, unless the node is dead by then.
    async fn alive<T>(&self, call: impl Future<Output = T>) -> T {
        self.enter().await;
        let answer = call.await;
        self.life.check().await;
        answer
    }

    /// Goes on while the node is alive, and while time goes on.
    async fn enter(&self) {
        self.life.check().await;
        if self.world.spins() {
            self.world.check().found(Invariant::Ends, "the store is called without end at one instant");
            std::future::pending::<()>().await;
        }
    }

    /// Counts pages that are of another head than the first one.
    fn loads(&self, partition: PartitionId, is_first: bool, head: Head) {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if is_first {
            loading.insert(partition, head);
        } else if loading.get(&partition).is_some_and(|first| *first != head) && partition != META {
            self.world.trace().count("page loaded under a writer");
        }
    }

    async fn commit_alive(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> Result<Committed, StoreError> {
        let node = self.life.node();
        let expected = self.unread(partition, expected);
        let (known, is) = (level(&self.world, node), self.inner.head(partition).level);
        if is > known && expected.level >= is && partition != META {
            let what =
                format!("n{node}, of level {known}, commits to partition {}, of level {is}", partition.0);
            self.world.check().found(Invariant::Level, what);
        }
        let dies = self.life.burns_down();
        if dies && self.world.dice.chance(300) {
            self.world.say(format_args!("n{node} dies before a commit to p{}", partition.0));
            self.world.trace().count("died before a commit");
            self.life.kill();
            return std::future::pending().await;
        }
        let version = batch.next.version;
        let (what, happened) = (events(&batch), kinds(&batch));
        let answer = self.commit_planted(partition, expected, batch).await;
        self.world.check().look_at(partition);
        let short = match &answer {
            Ok(Committed::Yes(_)) => "committed",
            Ok(Committed::Conflict(_)) => "conflict",
            Ok(Committed::Present(_)) => "present",
            Err(StoreError::Unknown(_)) => "unknown",
            Err(_) => "refused",
        };
        self.world.trace().count(short);
        if matches!(answer, Ok(Committed::Yes(_))) {
            happened.iter().for_each(|kind| self.world.trace().count(kind.name()));
        }
        self.world.say(format_args!("n{node} commits p{} v{version}: {short}, {what}", partition.0));
        if dies {
            self.world.say(format_args!("n{node} dies after a commit to p{}", partition.0));
            self.world.trace().count("died after a commit");
            self.life.kill();
        }
        self.life.check().await;
        if let Ok(Committed::Yes(head)) = &answer {
            match partition {
                META => self.world.check().spoke(node),
                _ => self.world.check().confirmed(node, partition, head.version),
            }
        }
        answer
    }

    async fn commit_planted(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> Result<Committed, StoreError> {
        let plant = self.world.plan.plant;
        if plant == Some(Plant::Mute) && partition == META && self.world.running(self.life.node()).is_some() {
            return Ok(Committed::Conflict(self.inner.head(META)));
        }
        let Some(plant) = plant.filter(|_| partition != META) else {
            return self.inner.commit(partition, expected, batch).await;
        };
        let dice = &self.world.dice;
        match plant {
            Plant::ForgetCommit if dice.chance(50) => Ok(Committed::Yes(batch.next)),
            Plant::EarlyReply if dice.chance(100) && self.inner.head(partition) == expected => {
                let (inner, late) = (self.inner.clone(), batch.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _too_late_to_tell = inner.commit(partition, expected, late).await;
                });
                Ok(Committed::Yes(batch.next))
            }
            Plant::KeepLevel => {
                let next = Head { level: batch.next.level.min(stint_core::LEVEL), ..batch.next };
                let batch = Arc::new(Batch { next, ..Batch::clone(&batch) });
                self.inner.commit(partition, expected, batch).await
            }
            Plant::BlindCommit => self.commit_blindly(partition, expected, batch).await,
            Plant::Stall if partition.0.is_multiple_of(8) => std::future::pending().await,
            #[expect(clippy::panic, reason = "the planted bug is a panic")]
            Plant::Panic if dice.chance(20) => panic!("a planted bug"),
            _ => {
                let batch = Arc::new(Batch {
                    writes: batch
                        .writes
                        .iter()
                        .filter(|write| !self.drops(plant, partition, write))
                        .map(|write| bend::bent(plant, write))
                        .collect(),
                    ..Batch::clone(&batch)
                });
                self.inner.commit(partition, expected, batch).await
            }
        }
    }

    /// Whether a planted bug drops this write.
    fn drops(&self, plant: Plant, partition: PartitionId, write: &Write) -> bool {
        let is = |table: Table, kind: u8| write.table == table && write.key.first() == Some(&kind);
        match plant {
            Plant::DropArchive => is(Table::Cold, b'a') && self.world.dice.chance(100),
            Plant::KeepLive => is(Table::Live, b'x') && write.value.is_none() && self.world.dice.chance(100),
            Plant::DropSteps => is(Table::Ordered, b'p') && self.world.dice.chance(300),
            Plant::DropKeys => is(Table::Cold, b'k'),
            Plant::DropLive => {
                write.table == Table::Live && write.value.is_some() && self.world.dice.chance(30)
            }
            Plant::LeakHolds => is(Table::Live, b'k') && write.value.is_none(),
            Plant::DoubleCharge => is(Table::Cold, b'c'),
            Plant::ForgetSpend => is(Table::Live, b'c') && self.world.dice.chance(500),
            Plant::KeepMessages => is(Table::Live, b'o') && write.value.is_none(),
            Plant::StaleCopies => is(Table::Live, b'l') && partition.0.is_multiple_of(3),
            Plant::ForgetPause => is(Table::Live, b'l') && partition.0.is_multiple_of(2),
            Plant::SilentLoss => {
                is(Table::Ordered, b'g')
                    && write
                        .value
                        .as_ref()
                        .and_then(|log| event::decode_log(log).ok())
                        .is_some_and(|events| events.iter().any(|event| event.kind == EventKind::WritesLost))
            }
            _ => false,
        }
    }

    /// Commits nothing at all, as a node that does not know when to be still.
    fn touch(&self) {
        let (inner, partition) = (self.inner.clone(), PartitionId(5));
        let is = inner.head(partition);
        let next = Head { version: is.version + 1, nonce: self.world.dice.draw() | 1, ..is };
        let batch = Arc::new(Batch { next, incarnation: 1, writes: Vec::new(), absent: Vec::new() });
        tokio::spawn(async move {
            let _whatever_comes = inner.commit(partition, is, batch).await;
        });
    }

    /// Commits on whatever head there is, as a store that does not compare.
    async fn commit_blindly(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> Result<Committed, StoreError> {
        let is = self.inner.head(partition);
        let next = Head { version: is.version + 1, ..batch.next };
        let blind = Arc::new(Batch { next, ..Batch::clone(&batch) });
        match self.inner.commit(partition, is, blind).await {
            // The node goes on believing in its own head; what it expects next is replaced again.
            Ok(Committed::Yes(_)) => Ok(Committed::Yes(Head { version: expected.version + 1, ..batch.next })),
            answer => answer,
        }
    }
}

impl Store for SeamStore {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            self.enter().await;
            self.commit_alive(partition, expected, batch).await
        })
    }

    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>> {
        Box::pin(async move {
            let values = self.alive(self.inner.get(partition, keys)).await?;
            Ok(Values { head: self.read(partition, values.head), ..values })
        })
    }

    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let is_first = cursor.is_none();
            let page = self.alive(self.inner.load(partition, cursor)).await?;
            self.loads(partition, is_first, page.head);
            Ok(Page { head: self.read(partition, page.head), ..page })
        })
    }

    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let page = self.alive(self.inner.range(partition, range)).await?;
            Ok(Page { head: self.read(partition, page.head), ..page })
        })
    }

    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let page = self.alive(self.inner.scan(partition, cursor)).await?;
            Ok(Page { head: self.read(partition, page.head), ..page })
        })
    }

    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            let since = self.unread(partition, since);
            Ok(match self.alive(self.inner.changes(partition, since)).await? {
                Changes::Since { rows, head } => Changes::Since { rows, head: self.read(partition, head) },
                Changes::TooOld => Changes::TooOld,
            })
        })
    }

    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        if self.world.plan.plant == Some(Plant::Restless) {
            self.touch();
        }
        Box::pin(self.alive(self.inner.clock()))
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        Box::pin(self.alive(self.inner.identity()))
    }

    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }

    fn room(&self) -> Room {
        self.inner.room()
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.alive(self.inner.close()))
    }
}

/// What a batch says that happened.
fn log(batch: &Batch) -> Vec<event::Event> {
    let log =
        batch.writes.iter().find(|write| write.table == Table::Ordered && write.key.first() == Some(&b'g'));
    log.and_then(|write| event::decode_log(write.value.as_ref()?).ok()).unwrap_or_default()
}

fn kinds(batch: &Batch) -> Vec<EventKind> {
    log(batch).iter().map(|event| event.kind).collect()
}

fn events(batch: &Batch) -> String {
    let named = |event: &event::Event| match event.execution {
        Some(id) => format!("{} {id}", event.kind.name()),
        None => event.kind.name().to_owned(),
    };
    let events: Vec<String> = log(batch).iter().map(named).collect();
    format!("{} writes, {}", batch.writes.len(), events.join(", "))
}

impl fmt::Debug for SeamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeamStore").field("node", &self.life.node()).finish_non_exhaustive()
    }
}
