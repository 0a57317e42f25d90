//! Opening: the lock, the database, the facts, the heads, and whether anything confirmed is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use fjall::{Database, PersistMode, Readable};

use super::EmbeddedConfig;
use super::heads_file::{self, Versions};
use super::journal;
use super::lock::Lock;
use super::records::{
    self, FORMAT_KEY, HeadsKey, IDENTITY_KEY, LOSS_KEY, Loss, PARTITIONS_KEY, decode_committer, decode_head,
};
use super::tables::{self, Tables};
use super::view::Heads;
use crate::clock::system_ms;
use crate::contract::{FORMAT, Head, META, NodeId, OpenError, PARTITIONS, PartitionId};

/// Directory of the database within the store's.
const DATA: &str = "data";

/// Where it is made before it is whole.
const DATA_NEW: &str = "data.new";

/// Incarnation and nonce of each node's last batch in each partition.
pub(super) type Committers = BTreeMap<(PartitionId, NodeId), (u64, u64)>;

/// A store that was opened and checked.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) database: Database,
    pub(super) tables: Tables,
    pub(super) heads: Heads,
    pub(super) committers: Committers,
    pub(super) identity: String,
    pub(super) loss: Option<Loss>,
    /// Confirmed batches that are missing, if nobody had to decide about them.
    pub(super) missing: Option<Loss>,
}

pub(super) fn open(config: &EmbeddedConfig) -> Result<Opened, OpenError> {
    let place = Place { path: &config.path };
    if config.look && !data_path(&config.path).try_exists().map_err(|e| place.io(e))? {
        return Err(place.io("there is no store here"));
    }
    std::fs::create_dir_all(&config.path).map_err(|e| place.io(e))?;
    let lock = Lock::take(&config.path.join("lock"), &config.path)?;
    let data = config.path.join(DATA);
    if !data.try_exists().map_err(|e| place.io(e))? {
        place.create(&data, config.cache_bytes)?;
    }
    let (database, tables) = place.open_database(&data, config.cache_bytes)?;
    let identity = place.check_facts(&database, &tables)?;
    let (heads, committers) = place.read_heads(&database, &tables)?;
    let loss = place.fact(&database, &tables, LOSS_KEY)?;
    let loss = loss.map(|bytes| records::decode_loss(&bytes)).transpose().map_err(|e| place.io(e))?;
    let mut opened = Opened { lock, database, tables, heads, committers, identity, loss, missing: None };

    let confirmed = heads_file::read(&config.path).map_err(|reason| OpenError::Io {
        path: config.path.join(heads_file::NAME).display().to_string(),
        reason,
    })?;
    let held = heads_file::versions(&opened.heads);
    if let Some(loss) = confirmed.and_then(|confirmed| missing(&confirmed, &held)) {
        if config.look {
            opened.missing = Some(loss);
            return Ok(opened);
        }
        if !config.accept_loss {
            return Err(OpenError::Behind {
                path: config.path.display().to_string(),
                lost_batches: loss.batches,
                partitions: loss.partitions,
            });
        }
        place.accept(&mut opened, loss)?;
    }
    Ok(opened)
}

/// What was confirmed and is not there.
fn missing(confirmed: &Versions, held: &Versions) -> Option<Loss> {
    let mut loss = Loss { at_ms: system_ms(), batches: 0, partitions: 0 };
    for (confirmed, held) in confirmed.iter().zip(held) {
        if confirmed > held {
            loss.batches = loss.batches.saturating_add(confirmed - held);
            loss.partitions += 1;
        }
    }
    (loss.partitions > 0).then_some(loss)
}

/// The store's directory, for errors that name it.
struct Place<'a> {
    path: &'a Path,
}

impl Place<'_> {
    fn io(&self, reason: impl std::fmt::Display) -> OpenError {
        OpenError::Io { path: self.path.display().to_string(), reason: reason.to_string() }
    }

    /// Makes a database with its facts under another name first: a crash while it is made leaves nothing that a
    /// later start could take for a store.
    fn create(&self, data: &Path, cache_bytes: u64) -> Result<(), OpenError> {
        let fresh = self.path.join(DATA_NEW);
        if fresh.try_exists().map_err(|e| self.io(e))? {
            std::fs::remove_dir_all(&fresh).map_err(|e| self.io(e))?;
        }
        // A file of heads without data would make the new store look behind. It is: data were removed.
        {
            let (database, tables) = self.open_database(&fresh, cache_bytes)?;
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&tables.heads, FORMAT_KEY, FORMAT.to_be_bytes());
            batch.insert(&tables.heads, PARTITIONS_KEY, u32::from(PARTITIONS).to_be_bytes());
            batch.insert(&tables.heads, IDENTITY_KEY, new_identity().as_str());
            batch.commit().map_err(|e| self.io(e))?;
        }
        std::fs::rename(&fresh, data).map_err(|e| self.io(e))?;
        sync_directory(self.path).map_err(|e| self.io(e))?;
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent).map_err(|e| self.io(e)),
            _ => Ok(()),
        }
    }

    fn open_database(&self, data: &Path, cache_bytes: u64) -> Result<(Database, Tables), OpenError> {
        // The engine below asserts what it recovers; its panic is our refusal to open.
        let open = || std::panic::catch_unwind(AssertUnwindSafe(|| tables::open(data, cache_bytes)));
        let mut opened = open();
        if matches!(opened, Ok(Err(fjall::Error::JournalRecovery(_))))
            && let Some(bytes) = journal::cut_torn_tail(data).map_err(|e| self.io(e))?
        {
            tracing::warn!(path = %self.path.display(), bytes, "a group that was never confirmed was cut off the journal");
            opened = open();
        }
        match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(fjall::Error::Locked)) => {
                Err(OpenError::Locked { path: self.path.display().to_string(), pid: "unknown".to_owned() })
            }
            Ok(Err(error)) => Err(self.io(format!("the database can't be opened: {error}"))),
            Err(_) => Err(self.io("the database can't be opened: its recovery panicked, see standard error")),
        }
    }

    fn fact(&self, database: &Database, tables: &Tables, key: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let value = database.snapshot().get(&tables.heads, key).map_err(|e| self.io(e))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Compares format and partitions, and answers the identity.
    fn check_facts(&self, database: &Database, tables: &Tables) -> Result<String, OpenError> {
        for (what, key, wanted) in
            [("format", FORMAT_KEY, FORMAT), ("partitions", PARTITIONS_KEY, u32::from(PARTITIONS))]
        {
            let found = self
                .fact(database, tables, key)?
                .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
                .map(u32::from_be_bytes)
                .ok_or_else(|| self.io(format!("the record of its {what} is missing or damaged")))?;
            if found != wanted {
                return Err(OpenError::Format { path: self.path.display().to_string(), what, found, wanted });
            }
        }
        self.fact(database, tables, IDENTITY_KEY)?
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| self.io("the record of its identity is missing or damaged"))
    }

    fn read_heads(&self, database: &Database, tables: &Tables) -> Result<(Heads, Committers), OpenError> {
        let mut heads: Heads = [Head::default(); META.0 as usize + 1];
        let mut committers = Committers::new();
        for guard in database.snapshot().iter(&tables.heads) {
            let (key, value) = guard.into_inner().map_err(|e| self.io(e))?;
            match records::parse_key(&key) {
                HeadsKey::Head(partition) => {
                    let head = heads
                        .get_mut(usize::from(partition.0))
                        .ok_or_else(|| self.io(format!("it has a head of partition {}", partition.0)))?;
                    *head = decode_head(&value).map_err(|e| self.io(e))?;
                }
                HeadsKey::Committer(partition, node) => {
                    committers.insert((partition, node), decode_committer(&value).map_err(|e| self.io(e))?);
                }
                HeadsKey::Fact => {}
            }
        }
        Ok((heads, committers))
    }

    /// Records the loss and gives the store a new identity, by which whoever remembers the old one starts new
    /// timelines; then lets the heads stand.
    fn accept(&self, opened: &mut Opened, loss: Loss) -> Result<(), OpenError> {
        let identity = new_identity();
        let mut batch = opened.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&opened.tables.heads, IDENTITY_KEY, identity.as_str());
        batch.insert(&opened.tables.heads, LOSS_KEY, records::encode_loss(&loss));
        batch.commit().map_err(|e| self.io(e))?;
        heads_file::write(self.path, &heads_file::versions(&opened.heads)).map_err(|e| self.io(e))?;
        tracing::warn!(
            path = %self.path.display(),
            batches = loss.batches,
            partitions = loss.partitions,
            "opened without confirmed batches that are missing, as asked"
        );
        opened.identity = identity;
        opened.loss = Some(loss);
        Ok(())
    }
}

fn new_identity() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// The database's own directory, for those who measure it.
pub(super) fn data_path(store: &Path) -> PathBuf {
    store.join(DATA)
}
