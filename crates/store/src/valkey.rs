//! A store in Valkey or Redis, one server or a cluster.
//!
//! A partition is six keys with one hash tag. One script, `commit.lua`, compares the head and writes; every read is
//! a script too, so that what it sees is at one head. `docs/VALKEY.md` has layout, guarantees and figures.
//!
//! **Never here:** a rule in Lua, a command while nobody calls, a commit that is sent again under another name.

mod commit;
mod config;
mod layout;
mod link;
mod read;
mod script;
mod server;
mod settings;
mod single;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use self::commit::Done;
use self::config::Address;
pub use self::config::{Ack, ValkeyConfig};
use self::layout::{PartitionKeys, store_key};
use self::link::Link;
use self::script::{Call, Scripts};
pub use self::settings::{ServerSettings, Settings, settings};
use crate::contract::{
    Batch, Changes, Committed, Counters, FORMAT, Head, META, OpenError, PARTITIONS, Page, PartitionId, Range,
    Room, Store, StoreError, Table, Values,
};

/// A look at the server's memory serves commits for this long.
const ROOM_AGE: Duration = Duration::from_secs(5);

/// An open store. See the module.
pub struct ValkeyStore {
    config: ValkeyConfig,
    scripts: Scripts,
    keys: Vec<PartitionKeys>,
    /// `None` once closed.
    link: RwLock<Option<Arc<Link>>>,
    room: Arc<RoomSeen>,
    counted: Counted,
}

struct RoomSeen {
    low: AtomicBool,
    asking: AtomicBool,
    opened: Instant,
    /// When it was last looked at, ms after `opened`.
    at_ms: AtomicU64,
}

#[derive(Default)]
struct Counted {
    commits: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    longest_commit_us: AtomicU64,
}

impl ValkeyStore {
    /// Connects, refuses a server that can't hold a store (too old, a replica, one that evicts), and checks or writes
    /// format and partition count.
    pub async fn open(config: ValkeyConfig) -> Result<Arc<Self>, OpenError> {
        Self::open_or_look(config, false).await
    }

    /// As [`ValkeyStore::open`], for whoever only looks: a store that is not there is not begun.
    pub async fn look(config: ValkeyConfig) -> Result<Arc<Self>, OpenError> {
        Self::open_or_look(config, true).await
    }

    async fn open_or_look(config: ValkeyConfig, look: bool) -> Result<Arc<Self>, OpenError> {
        let path = config.shown_url();
        let io = |reason: String| OpenError::Io { path: path.clone(), reason };
        let address = config.address().map_err(&io)?;
        let cluster = matches!(address, Address::Cluster(_));
        let link = Link::connect(address).await.map_err(&io)?;
        // A section each: Redis 7.0 takes several names at once, but only that version on.
        let mut low = false;
        for section in ["server", "memory", "replication", "cluster"] {
            for info in link.info(section).await.map_err(|error| io(error.message().to_owned()))? {
                if let Some(refusal) = server::refusal(&info, cluster) {
                    return Err(io(refusal));
                }
                low |= server::room(&info) == Room::Low;
            }
        }
        let scripts = Scripts::new();
        let mine = |number: u32| if look { String::new() } else { number.to_string() };
        let (format, partitions) = (mine(FORMAT), mine(PARTITIONS.into()));
        let key = store_key(&config.prefix);
        let call =
            Call { code: &scripts.open, keys: &[&key], args: &[format.as_bytes(), partitions.as_bytes()] };
        let reply = call.send(&link).await.map_err(|error| io(error.message().to_owned()))?;
        let (format, partitions): (u32, u32) = redis::from_redis_value(reply)
            .map_err(|error| io(format!("format and partition count: {error}")))?;
        if look && format == 0 && partitions == 0 {
            return Err(io("there is no store here".to_owned()));
        }
        for (what, found, wanted) in
            [("format", format, FORMAT), ("partitions", partitions, PARTITIONS.into())]
        {
            if found != wanted {
                return Err(OpenError::Format { path, what, found, wanted });
            }
        }
        let room = RoomSeen {
            low: AtomicBool::new(low),
            asking: AtomicBool::new(false),
            opened: Instant::now(),
            at_ms: AtomicU64::new(0),
        };
        Ok(Arc::new(Self {
            scripts,
            keys: PartitionKeys::all(&config.prefix),
            link: RwLock::new(Some(Arc::new(link))),
            room: Arc::new(room),
            counted: Counted::default(),
            config,
        }))
    }

    fn link(&self) -> Result<Arc<Link>, StoreError> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.clone().ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
    }

    fn keys(&self, partition: PartitionId) -> Result<&PartitionKeys, StoreError> {
        let missing = || StoreError::Fatal(format!("partition {} does not exist", partition.0));
        self.keys.get(usize::from(partition.0)).ok_or_else(missing)
    }

    async fn send_commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: &Batch,
    ) -> Result<Committed, StoreError> {
        let link = self.link()?;
        batch.validate(partition, expected)?;
        let began = Instant::now();
        let done = commit::commit(&link, &self.scripts, self.keys(partition)?, expected, batch).await;
        self.room.look_at_times(&link);
        match done {
            Ok(Done::Applied) => {
                self.counted.add(batch, began.elapsed());
                Ok(Committed::Yes(batch.next))
            }
            Ok(Done::Settled(answer)) => Ok(answer),
            Err(error) => {
                if matches!(error, StoreError::Full(_)) {
                    self.room.low.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }
}

impl RoomSeen {
    /// Asks the server for its memory beside a commit, if the last answer is old: an idle store asks nothing.
    fn look_at_times(self: &Arc<Self>, link: &Arc<Link>) {
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let age_ms = now_ms.saturating_sub(self.at_ms.load(Ordering::Relaxed));
        if u128::from(age_ms) < ROOM_AGE.as_millis() || self.asking.swap(true, Ordering::Relaxed) {
            return;
        }
        let (room, link) = (Arc::clone(self), Arc::clone(link));
        tokio::spawn(async move {
            // A failure leaves the last answer standing; commits speak for themselves.
            if let Ok(infos) = link.info("memory").await {
                let low = infos.iter().any(|info| server::room(info) == Room::Low);
                room.low.store(low, Ordering::Relaxed);
            }
            room.at_ms.store(now_ms, Ordering::Relaxed);
            room.asking.store(false, Ordering::Relaxed);
        });
    }
}

impl Counted {
    fn add(&self, batch: &Batch, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(batch.writes.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.longest_commit_us.fetch_max(took_us, Ordering::Relaxed);
    }
}

impl Store for ValkeyStore {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move { self.send_commit(partition, expected, &batch).await })
    }

    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>> {
        Box::pin(async move { read::get(&*self.link()?, &self.scripts, self.keys(partition)?, &keys).await })
    }

    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(
            async move { read::load(&*self.link()?, &self.scripts, self.keys(partition)?, cursor).await },
        )
    }

    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(
            async move { read::range(&*self.link()?, &self.scripts, self.keys(partition)?, &range).await },
        )
    }

    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(
            async move { read::scan(&*self.link()?, &self.scripts, self.keys(partition)?, cursor).await },
        )
    }

    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(
            async move { read::changes(&*self.link()?, &self.scripts, self.keys(partition)?, since).await },
        )
    }

    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(async move {
            let (link, keys) = (self.link()?, self.keys(META)?);
            let call = Call { code: &self.scripts.clock, keys: &[&keys.head], args: &[] };
            let reply = call.send(&link).await.map_err(read::failure)?;
            let odd = |error: redis::ParsingError| StoreError::Fatal(format!("the server's clock: {error}"));
            let (seconds, micros): (i64, i64) = redis::from_redis_value(reply).map_err(odd)?;
            Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        Box::pin(async move {
            let infos = self.link()?.info("replication").await.map_err(read::failure)?;
            let mut ids: Vec<&str> = infos.iter().filter_map(|info| server::replication_id(info)).collect();
            if ids.len() != infos.len() {
                return Err(StoreError::Unavailable(
                    "the server does not tell its replication id".to_owned(),
                ));
            }
            ids.sort_unstable();
            Ok(ids.join(","))
        })
    }

    fn exclusive(&self) -> bool {
        false
    }

    fn room(&self) -> Room {
        if self.room.low.load(Ordering::Relaxed) { Room::Low } else { Room::Enough }
    }

    fn counters(&self) -> Counters {
        Counters {
            commits: self.counted.commits.load(Ordering::Relaxed),
            writes: self.counted.writes.load(Ordering::Relaxed),
            bytes: self.counted.bytes.load(Ordering::Relaxed),
            syncs: 0,
            longest_commit_us: self.counted.longest_commit_us.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            // Calls under way hold the link and end by themselves.
            self.link.write().unwrap_or_else(PoisonError::into_inner).take();
            Ok(())
        })
    }
}

impl fmt::Debug for ValkeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyStore").field("config", &self.config).finish_non_exhaustive()
    }
}
