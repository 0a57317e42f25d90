//! Puts a backup into an empty store, in bounded batches, so that an interrupted restore can go on.
//!
//! A marker in the meta partition is the first thing written and the last thing removed: a store that holds one is not
//! served. The batches follow from the backup alone (their contents, heads and nonces), so how far an interrupted restore
//! came is read off the partition's head.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use stint_store::{
    BATCH_BYTES_MAX, BATCH_PUTS_MAX, Batch, Committed, Head, META, NodeId, PartitionId, Store, StoreError,
    Table, Write,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::decode::{Frames, ReadError};
use super::format::{Frame, Header};
use super::marker::{self, Restoring};
use super::verify::{Contents, Section};
use crate::backoff::pauses;

/// How batches are cut. Another way of cutting can't go on where this one stopped.
const PLAN: u32 = 1;

/// Tries of a call that the store does not answer.
const TRIES_MAX: u32 = 20;

/// Why a restore was refused, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is in the store.
    #[error(
        "the store is not empty: partition {partition} is at version {version}; restore into an empty one"
    )]
    NotEmpty {
        /// Which.
        partition: u8,
        /// Its version.
        version: u64,
    },
    /// Another restore was begun here.
    #[error(
        "the store holds a restore of backup {id} that was not completed; complete that one, or begin with an empty store"
    )]
    Other {
        /// The backup that was being restored.
        id: String,
    },
    /// Somebody else writes into the store.
    #[error(
        "somebody else has written to partition {partition} while it was restored; begin again with an empty store"
    )]
    Disturbed {
        /// Which.
        partition: u8,
    },
    /// The store failed or does not answer.
    #[error("{0}; the restore goes on where it stopped when it is started again")]
    Store(#[from] StoreError),
    /// The backup can't be read any more, although it was whole a moment ago.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record of the store as a whole can't be read.
    #[error("a record of the store can't be read: {0}")]
    Corrupt(String),
}

impl RestoreError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEmpty { .. } => "store_not_empty",
            Self::Other { .. } => "store_restore_unfinished",
            Self::Disturbed { .. } => "store_in_use",
            Self::Store(_) => "store_unavailable",
            Self::Read(ReadError::Damaged(damage)) => damage.code,
            Self::Read(ReadError::Io(_)) => "backup_damaged",
            Self::Corrupt(_) => "store_corrupt",
        }
    }
}

/// How a restore went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Whether an earlier restore was gone on with.
    pub resumed: bool,
    /// Batches committed this time.
    pub batches: u64,
}

/// Restores a backup that [`super::verify`] found whole; `source` gives the same bytes again. `seen` hears of the bytes
/// read so far.
pub async fn restore<R: Read>(
    store: &Arc<dyn Store>,
    contents: &Contents,
    source: R,
    mut seen: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    let mut restore = Restore { store, header: contents.header, batches: 0 };
    let resumed = restore.begin(contents).await?;
    let mut frames = Frames::new(source);
    frames.header()?;
    let mut filling: Option<Filling> = None;
    while let Some((at, frame)) = frames.read()? {
        seen(frames.position());
        match frame {
            Frame::Begin(partition, _) => {
                let section = contents.sections.get(&partition).filter(|section| section.at == at);
                filling = match section {
                    Some(section) => Some(restore.fill(partition, *section).await?),
                    // One that was begun again later.
                    None => None,
                };
            }
            Frame::Rows(_, _, rows) | Frame::Writes(_, _, rows) => {
                if let Some(filling) = &mut filling {
                    for row in rows {
                        filling.add(row);
                        if filling.is_full() {
                            restore.commit(filling).await?;
                        }
                    }
                }
            }
            Frame::End(..) => {
                if let Some(mut filling) = filling.take() {
                    restore.end(&mut filling).await?;
                }
            }
            Frame::Abandoned(..) | Frame::Finished(..) | Frame::Failed(_) => {}
        }
    }
    restore.finish().await?;
    Ok(Restored { resumed, batches: restore.batches })
}

struct Restore<'a> {
    store: &'a Arc<dyn Store>,
    header: Header,
    batches: u64,
}

/// A partition on its way.
struct Filling {
    partition: PartitionId,
    section: Section,
    /// Where the store's partition stands.
    head: Head,
    /// Batches that an earlier run has committed.
    done: u64,
    /// The number of the batch that is being filled.
    number: u64,
    /// What goes into it: of each key the last word.
    writes: BTreeMap<(Table, Bytes), Option<Bytes>>,
    bytes: usize,
}

impl Filling {
    fn add(&mut self, row: Write) {
        self.bytes += row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
        self.writes.insert((row.table, row.key), row.value);
    }

    fn is_full(&self) -> bool {
        self.writes.len() >= BATCH_PUTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn take(&mut self) -> Vec<Write> {
        self.bytes = 0;
        let writes = std::mem::take(&mut self.writes).into_iter();
        writes.map(|((table, key), value)| Write { table, key, value }).collect()
    }
}

impl Restore<'_> {
    /// Refuses a store that is not empty, unless it holds the beginning of this very restore; else leaves the marker.
    async fn begin(&mut self, contents: &Contents) -> Result<bool, RestoreError> {
        let (head, restoring) = retry(|| marker::under_way(self.store)).await?;
        if let Some(restoring) = restoring {
            let restoring = restoring.map_err(RestoreError::Corrupt)?;
            if restoring.id != self.header.id || restoring.plan != PLAN {
                return Err(RestoreError::Other {
                    id: format!("{:032x}", u128::from_be_bytes(restoring.id)),
                });
            }
            return Ok(true);
        }
        for partition in (0..=META.0).map(PartitionId) {
            let head = retry(|| self.store.get(partition, Vec::new())).await?.head;
            if head != Head::default() {
                return Err(RestoreError::NotEmpty { partition: partition.0, version: head.version });
            }
        }
        let before = contents.sections.get(&META).map(|section| section.head).unwrap_or_default();
        let next = Head {
            timeline: before.timeline + 1,
            version: before.version + 1,
            nonce: self.nonce(META, 0),
            committer: committer(),
            now_ms: before.now_ms,
            level: before.level.max(1),
        };
        let marker = marker::begin(&Restoring { id: self.header.id, plan: PLAN });
        self.send(META, head, next, vec![marker]).await?;
        Ok(false)
    }

    /// Looks how far a partition is.
    async fn fill(&self, partition: PartitionId, section: Section) -> Result<Filling, RestoreError> {
        let head = retry(|| self.store.get(partition, Vec::new())).await?.head;
        let done = if partition == META || head == Head::default() {
            0
        } else {
            let done = head.version.saturating_sub(section.head.version);
            if done == 0 || head != self.head(partition, &section, done - 1) {
                return Err(RestoreError::Disturbed { partition: partition.0 });
            }
            done
        };
        Ok(Filling { partition, section, head, done, number: 0, writes: BTreeMap::new(), bytes: 0 })
    }

    /// The head after the batch of this number.
    fn head(&self, partition: PartitionId, section: &Section, number: u64) -> Head {
        Head {
            timeline: section.head.timeline + 1,
            version: section.head.version + 1 + number,
            nonce: self.nonce(partition, number),
            committer: committer(),
            now_ms: section.head.now_ms,
            level: section.head.level,
        }
    }

    /// Commits the batch that is filled, unless that was done before.
    async fn commit(&mut self, filling: &mut Filling) -> Result<(), RestoreError> {
        let writes = filling.take();
        let number = filling.number;
        filling.number += 1;
        if filling.partition == META {
            // Its versions went on with the marker, and putting the same again changes nothing.
            filling.head = self.send_meta(filling.head, writes).await?;
            return Ok(());
        }
        if number < filling.done {
            return Ok(());
        }
        let next = self.head(filling.partition, &filling.section, number);
        filling.head = self.send(filling.partition, filling.head, next, writes).await?;
        Ok(())
    }

    /// Commits what is left. A partition that holds nothing keeps its head all the same.
    async fn end(&mut self, filling: &mut Filling) -> Result<(), RestoreError> {
        let began = filling.section.head != Head::default();
        if !filling.writes.is_empty() || filling.number == 0 && began {
            self.commit(filling).await?;
        }
        Ok(())
    }

    /// Takes the marker away, and leaves an identity that no store has: whoever serves this one begins new timelines.
    async fn finish(&mut self) -> Result<(), RestoreError> {
        let head = retry(|| self.store.get(META, Vec::new())).await?.head;
        self.send_meta(head, marker::done(&self.header.id_text())).await?;
        Ok(())
    }

    async fn send_meta(&mut self, head: Head, writes: Vec<Write>) -> Result<Head, RestoreError> {
        let nonce = self.nonce(META, head.version);
        let next = Head { version: head.version + 1, nonce, committer: committer(), ..head };
        self.send(META, head, next, writes).await
    }

    async fn send(
        &mut self,
        partition: PartitionId,
        expected: Head,
        next: Head,
        writes: Vec<Write>,
    ) -> Result<Head, RestoreError> {
        let batch = Arc::new(Batch { next, incarnation: self.incarnation(), writes, absent: Vec::new() });
        match retry(|| self.store.commit(partition, expected, batch.clone())).await? {
            Committed::Yes(head) => {
                self.batches += 1;
                Ok(head)
            }
            Committed::Conflict(_) | Committed::Present(_) => {
                Err(RestoreError::Disturbed { partition: partition.0 })
            }
        }
    }

    fn incarnation(&self) -> u64 {
        xxh3_64(&self.header.id)
    }

    /// Follows from backup, partition and batch: the same batch is the same when it is sent again, by whomever.
    fn nonce(&self, partition: PartitionId, number: u64) -> u64 {
        let place = (u64::from(partition.0) << 56) ^ number;
        xxh3_64_with_seed(&place.to_le_bytes(), self.incarnation()).max(1)
    }
}

/// The node as which restores commit.
fn committer() -> NodeId {
    NodeId(xxh3_64(b"stint store restore"))
}

/// Calls again while the store does not answer, up to a number of times.
async fn retry<T, F>(call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pauses = pauses();
    let mut tries = 1;
    loop {
        match call().await {
            Err(StoreError::Unavailable(_) | StoreError::Unknown(_)) if tries < TRIES_MAX => tries += 1,
            settled => return settled,
        }
        pauses.wait().await;
    }
}
