//! The store of one process on its own disk, over an LSM tree with a journal (fjall).
//!
//! All batches that wait become one write and one fsync, made by one thread; reads happen on the calling thread, on
//! a snapshot that goes with the heads it stands at. `docs/STORAGE.md` says what is on disk and why it is right.
//!
//! **Never here:** a write outside a batch, a read of anything not yet durable, an answer before the fsync, use of
//! the data after a write or fsync has failed.

mod calibrate;
mod committer;
mod heads_file;
mod journal;
mod lock;
mod open;
mod records;
mod room;
mod rotator;
mod shared;
mod survey;
mod tables;
mod view;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use fjall::{PersistMode, Slice};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

pub use self::calibrate::calibrate;
use self::committer::{Command, Committer, Item, Request};
use self::heads_file::Keeper;
pub use self::records::Loss;
use self::room::Disk;
pub use self::room::FreeBytes;
use self::rotator::Rotator;
use self::shared::Shared;
pub use self::survey::{FileSystem, Survey, survey};
use self::tables::KeyBuffer;
use crate::clock::system_ms;
use crate::contract::{
    Batch, Changes, Committed, Counters, Head, OpenError, Page, PartitionId, Range, Room, Store, StoreError,
    Table, Values,
};

/// What a confirmed commit survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Loss of power: a commit is confirmed after `fdatasync`.
    #[default]
    Fsync,
    /// The end of the process, in any way; the operating system writes when it likes.
    Os,
}

impl Durability {
    fn persist_mode(self) -> PersistMode {
        match self {
            Self::Fsync => PersistMode::SyncData,
            Self::Os => PersistMode::Buffer,
        }
    }
}

/// Called once, with the reason, when the store has failed: a server ends its process here.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// How an embedded store is opened.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// Its directory, made if it is not there.
    pub path: PathBuf,
    /// What a confirmed commit survives.
    pub durability: Durability,
    /// Free bytes on disk below which [`Store::room`] answers [`Room::Low`]; 512 MiB.
    pub low_water_bytes: u64,
    /// Open although confirmed batches are missing, record the loss, and go on without them.
    pub accept_loss: bool,
    /// Open only to look: a store that is not there is not made, one that is behind opens too, and nothing is committed.
    pub look: bool,
    /// Memory for blocks read from disk; 64 MiB.
    pub cache_bytes: u64,
    /// Called once when the store has failed.
    pub on_fatal: Option<OnFatal>,
    /// Asks how many bytes are free, for every batch; `None` asks the operating system, at most twice a second.
    pub free_bytes: Option<FreeBytes>,
}

impl EmbeddedConfig {
    /// The defaults, in this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::Fsync,
            low_water_bytes: 512 << 20,
            accept_loss: false,
            look: false,
            cache_bytes: 64 << 20,
            on_fatal: None,
            free_bytes: None,
        }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("path", &self.path)
            .field("durability", &self.durability)
            .field("low_water_bytes", &self.low_water_bytes)
            .field("accept_loss", &self.accept_loss)
            .field("look", &self.look)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// See the module.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    identity: String,
    loss: Option<Loss>,
    missing: Option<Loss>,
    look: bool,
    queue: mpsc::Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens the store, and makes it if its directory holds none. It blocks: replaying the journal of a killed
    /// process takes up to a second.
    pub fn open(config: EmbeddedConfig) -> Result<Arc<Self>, OpenError> {
        let opened = open::open(&config)?;
        let path = config.path;
        let io =
            |e: std::io::Error| OpenError::Io { path: path.display().to_string(), reason: e.to_string() };
        let keeper = Keeper::start(&path).map_err(io)?;
        let disk = Disk::new(&open::data_path(&path), config.low_water_bytes, config.free_bytes);
        let shared = Arc::new(Shared::new(path.clone(), config.durability, disk, config.on_fatal));
        let tables = Arc::new(opened.tables);
        let rotator = Rotator::start(tables.clone(), shared.clone()).map_err(io)?;
        let committer = Committer {
            database: opened.database,
            tables,
            heads: opened.heads,
            committers: opened.committers,
            shared: shared.clone(),
            keeper,
            rotator,
            lock: opened.lock,
        };
        committer.publish();
        let (queue, commands) = mpsc::channel();
        let thread = std::thread::Builder::new().name("stint-committer".to_owned()).spawn({
            let shared = shared.clone();
            move || {
                if std::panic::catch_unwind(AssertUnwindSafe(|| committer.run(&commands))).is_err() {
                    shared.fail("the committer panicked, see standard error");
                }
            }
        });
        Ok(Arc::new(Self {
            shared,
            identity: opened.identity,
            loss: opened.loss,
            missing: opened.missing,
            look: config.look,
            queue,
            thread: Mutex::new(Some(thread.map_err(io)?)),
        }))
    }

    /// The last loss that was accepted when this store was opened, now or at an earlier start.
    pub fn accepted_loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Confirmed batches that are missing, of a store that was opened only to look.
    pub fn missing(&self) -> Option<Loss> {
        self.missing
    }

    /// The durability it was opened with.
    pub fn durability(&self) -> Durability {
        self.shared.durability
    }

    /// Prepares a commit on the calling thread as far as it can be, so that the committer has less to do.
    fn request(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
        reply: oneshot::Sender<Result<Committed, StoreError>>,
    ) -> Result<Prepared, StoreError> {
        let sent = Instant::now();
        batch.validate(partition, expected)?;
        if self.look {
            let path = self.shared.path.display();
            return Err(StoreError::Unavailable(format!("{path} was opened only to look")));
        }
        let view = self.shared.view()?;
        let mut absent_seen = batch.absent.is_empty();
        // Equal heads are equal content, so what is seen here holds for as long as the head is the expected one.
        if !absent_seen && view.head(partition) == expected {
            let present = self.shared.read(view.present(partition, &batch.absent))?;
            if !present.is_empty() {
                return Ok(Prepared::Answer(Committed::Present(present)));
            }
            absent_seen = true;
        }
        let mut keys = KeyBuffer::default();
        let mut bytes = 0;
        let items = batch.writes.iter().map(|write| {
            bytes += write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
            Item {
                table: write.table,
                key: keys.slice(partition, &write.key),
                value: write.value.as_ref().map(|value| Slice::from(&value[..])),
            }
        });
        let items = items.collect();
        Ok(Prepared::Request(Request { partition, expected, batch, items, bytes, absent_seen, sent, reply }))
    }
}

/// A commit before it is sent.
enum Prepared {
    Answer(Committed),
    Request(Request),
}

impl Store for EmbeddedStore {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            match self.request(partition, expected, batch, reply)? {
                Prepared::Answer(committed) => Ok(committed),
                Prepared::Request(request) => {
                    self.queue.send(Command::Commit(request)).map_err(|_| self.shared.gone())?;
                    // A reply that is dropped was never judged: the committer closed, or panicked.
                    answer.await.unwrap_or_else(|_| Err(self.shared.gone()))
                }
            }
        })
    }

    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>> {
        Box::pin(async move {
            let view = self.shared.view()?;
            self.shared.read(view.get(partition, &keys))
        })
    }

    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let view = self.shared.view()?;
            self.shared.read(view.all(Table::Live, partition, cursor.as_ref()))
        })
    }

    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let view = self.shared.view()?;
            self.shared.read(view.range(partition, &range))
        })
    }

    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            let view = self.shared.view()?;
            self.shared.read(view.all(Table::Cold, partition, cursor.as_ref()))
        })
    }

    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            let head = self.shared.view()?.head(partition);
            // Nobody else writes, so a loader that is behind was overtaken by its own process: it starts again.
            Ok(if head == since { Changes::Since { rows: Vec::new(), head } } else { Changes::TooOld })
        })
    }

    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(std::future::ready(Ok(system_ms())))
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        Box::pin(std::future::ready(Ok(self.identity.clone())))
    }

    fn exclusive(&self) -> bool {
        true
    }

    fn room(&self) -> Room {
        self.shared.disk.room()
    }

    fn counters(&self) -> Counters {
        self.shared.counts.read()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (reply, closed) = oneshot::channel();
            if self.queue.send(Command::Close(reply)).is_err() {
                return Ok(());
            }
            // A second close may find the first under way: its command is dropped when that is done.
            let _either_way = closed.await;
            self.shared.check()
        })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        let _closed_already = self.queue.send(Command::Close(reply));
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panic_was_noted = thread.join();
        }
    }
}
