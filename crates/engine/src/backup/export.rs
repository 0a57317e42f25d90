//! Writes a backup: partition by partition, pages of all tables with the commits made meanwhile between them.
//!
//! Why the result is exactly one head's state is argued in `docs/BACKUP.md`; here is what the argument needs. A page read
//! at version v leaves after every batch up to v and before any beyond, so a section is in the order of versions. It ends
//! at the head of its last page.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stint_store::{
    FORMAT, Head, KEY_BYTES_MAX, META, PARTITIONS, Page, PartitionId, Range, Store, StoreError, Table, Write,
};
use tokio::sync::mpsc;

use super::format::{Counts, Frame, Header, PAYLOAD_BYTES, Writer};
use super::marker;
use super::tee::{Teed, Teeing};
use crate::Node;
use crate::backoff::pauses;

/// Rows of a page of ordered records.
const RANGE_ROWS: usize = 4_096;

/// A partition that had to be begun so often is given up, and the backup with it.
const BEGINS_MAX: u32 = 8;

/// Tries of a read of a store that nobody serves.
const TRIES_MAX: u32 = 8;

/// A backup that nobody takes a byte of for so long ends.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Why a backup was not completed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExportError {
    /// Whoever asked for it is gone, or takes nothing.
    #[error("nobody takes the backup any more")]
    Gone,
    /// The store failed or does not answer.
    #[error("the store does not answer: {0}")]
    Store(#[from] StoreError),
    /// The engine is stopping, or does not serve a partition.
    #[error("partition {0} is not served (any more)")]
    NotServed(u8),
    /// It changes faster than it can be copied, or somebody else writes.
    #[error("partition {partition} had to be begun {BEGINS_MAX} times, last because {why}")]
    Restless {
        /// Which.
        partition: u8,
        /// Why it had to be begun again.
        why: &'static str,
    },
    /// It is a store that a restore has not completed.
    #[error("the store holds a restore that was not completed; complete it first")]
    Unfinished,
}

/// Where a backup comes from.
pub(crate) enum Source {
    /// A running node.
    Node(Node),
    /// A store that this process has opened for nothing else.
    Store(Arc<dyn Store>),
}

/// Writes a whole backup into `out`, header and frames in pieces. It also ends with a frame if it fails.
pub(crate) async fn export(
    source: Source,
    id: [u8; 16],
    began_at: i64,
    now: impl Fn() -> i64 + Send,
    out: mpsc::Sender<Bytes>,
) -> Result<Counts, ExportError> {
    let header = Header {
        store_format: FORMAT,
        partitions: PARTITIONS.into(),
        level: stint_core::LEVEL,
        id,
        began_at,
    };
    let (writer, bytes) = Writer::begin(&header);
    let mut export = Export { source, writer, out, counts: Counts::default() };
    export.send(bytes).await?;
    match export.all().await {
        Ok(()) => {
            let counts = export.counts;
            export.frame(Frame::Finished(u32::from(META.0) + 1, counts, now())).await?;
            Ok(counts)
        }
        Err(error) => {
            // Whoever takes it may be what failed.
            _ = export.frame(Frame::Failed(error.to_string())).await;
            Err(error)
        }
    }
}

struct Export {
    source: Source,
    writer: Writer,
    out: mpsc::Sender<Bytes>,
    counts: Counts,
}

/// A partition's section under way.
struct Section {
    partition: PartitionId,
    /// Everything up to here has left.
    head: Head,
    tee: Option<Teeing>,
    counts: Counts,
}

/// Why a section was left.
enum Left {
    /// Begin it again.
    Again(&'static str),
    Failed(ExportError),
}

impl From<ExportError> for Left {
    fn from(error: ExportError) -> Self {
        Self::Failed(error)
    }
}

impl Export {
    async fn all(&mut self) -> Result<(), ExportError> {
        let (_, unfinished) = marker::under_way(self.store()).await?;
        if unfinished.is_some() {
            return Err(ExportError::Unfinished);
        }
        for partition in (0..=META.0).map(PartitionId) {
            self.partition(partition).await?;
        }
        Ok(())
    }

    async fn partition(&mut self, partition: PartitionId) -> Result<(), ExportError> {
        let mut begins = 0;
        let mut pauses = pauses();
        loop {
            begins += 1;
            let why = match self.section(partition).await {
                Ok(()) => return Ok(()),
                Err(Left::Failed(error)) => return Err(error),
                Err(Left::Again(why)) => why,
            };
            tracing::info!(partition = partition.0, why, "a backup begins this partition again");
            self.frame(Frame::Abandoned(partition, why.to_owned())).await?;
            if begins == BEGINS_MAX {
                return Err(ExportError::Restless { partition: partition.0, why });
            }
            pauses.wait().await;
        }
    }

    async fn section(&mut self, partition: PartitionId) -> Result<(), Left> {
        let mut section = self.begin(partition).await?;
        self.frame(Frame::Begin(partition, section.head)).await?;
        let mut cursor = None;
        loop {
            let page = self.read(|store| store.load(partition, cursor.clone())).await?;
            cursor = page.cursor.clone();
            self.page(&mut section, Table::Live, page).await?;
            if cursor.is_none() {
                break;
            }
        }
        loop {
            let page = self.read(|store| store.scan(partition, cursor.clone())).await?;
            cursor = page.cursor.clone();
            self.page(&mut section, Table::Cold, page).await?;
            if cursor.is_none() {
                break;
            }
        }
        let to = Bytes::from_static(&[0xFF; KEY_BYTES_MAX + 1]);
        let mut range = Range { from: Bytes::new(), to, reverse: false, limit: RANGE_ROWS };
        loop {
            let page = self.read(|store| store.range(partition, range.clone())).await?;
            let next = page.cursor.clone();
            self.page(&mut section, Table::Ordered, page).await?;
            match next {
                Some(next) => range.from = next,
                None => break,
            }
        }
        self.frame(Frame::End(partition, section.head, section.counts)).await?;
        self.counts.sum(section.counts);
        Ok(())
    }

    /// Where the section begins; from here on the tee runs.
    async fn begin(&self, partition: PartitionId) -> Result<Section, ExportError> {
        let (head, tee) = match &self.source {
            Source::Node(node) if partition != META => {
                let tee = node.tee(stint_core::PartitionId(partition.0)).await;
                let tee = tee.ok_or(ExportError::NotServed(partition.0))?;
                (tee.head, Some(tee))
            }
            _ => (self.read(|store| store.get(partition, Vec::new())).await?.head, None),
        };
        Ok(Section { partition, head, tee, counts: Counts::default() })
    }

    /// Lets a page leave, after what was committed before it was read.
    async fn page(&mut self, section: &mut Section, table: Table, page: Page) -> Result<(), Left> {
        self.catch_up(section, page.head).await?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for (key, value) in page.rows {
            if section.partition != META || !marker::is_own(table, &key) {
                rows.push(Write { table, key, value: Some(value) });
            }
        }
        self.rows(section, rows, false).await?;
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Lets leave what was committed up to `to`, and nothing beyond.
    async fn catch_up(&mut self, section: &mut Section, to: Head) -> Result<(), Left> {
        if to.timeline != section.head.timeline {
            return Err(Left::Again("a new timeline began"));
        }
        let Some(mut tee) = section.tee.take() else {
            return if to == section.head { Ok(()) } else { Err(Left::Again("somebody else writes")) };
        };
        if section.head.version < to.version
            && let Source::Node(node) = &self.source
        {
            // A look is answered at a head that is no older than the page's: by then all of it has come through the tee, or
            // the actor has found that another node wrote.
            let of = stint_core::PartitionId(section.partition.0);
            if node.look(of, |_| ()).await.is_err() {
                return Err(ExportError::NotServed(section.partition.0).into());
            }
        }
        while section.head.version < to.version {
            let batch = match tee.next().await {
                Some(Teed::Batch(batch)) => batch,
                Some(Teed::Broken(why)) => return Err(Left::Again(why)),
                None => return Err(ExportError::NotServed(section.partition.0).into()),
            };
            if batch.next.version != section.head.version + 1 {
                return Err(Left::Again("a commit is missing"));
            }
            section.head = batch.next;
            self.rows(section, batch.writes.clone(), true).await?;
        }
        section.tee = Some(tee);
        if to == section.head { Ok(()) } else { Err(Left::Again("somebody else writes")) }
    }

    /// Sends rows at the section's head, in frames of bounded size.
    async fn rows(&mut self, section: &mut Section, rows: Vec<Write>, teed: bool) -> Result<(), ExportError> {
        let (partition, version) = (section.partition, section.head.version);
        let framed = |rows| {
            if teed { Frame::Writes(partition, version, rows) } else { Frame::Rows(partition, version, rows) }
        };
        let (mut some, mut bytes) = (Vec::new(), 0);
        for row in rows {
            section.counts.add(teed, &row);
            bytes += row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
            some.push(row);
            if bytes >= PAYLOAD_BYTES {
                self.frame(framed(std::mem::take(&mut some))).await?;
                bytes = 0;
            }
        }
        // A batch without writes moves the version all the same.
        if teed || !some.is_empty() {
            self.frame(framed(some)).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), ExportError> {
        let bytes = self.writer.frame(&frame);
        self.send(bytes).await
    }

    async fn send(&self, bytes: Bytes) -> Result<(), ExportError> {
        match tokio::time::timeout(TAKEN_WITHIN, self.out.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ExportError::Gone),
        }
    }

    fn store(&self) -> &Arc<dyn Store> {
        match &self.source {
            Source::Node(node) => &node.shared().store,
            Source::Store(store) => store,
        }
    }

    /// Reads, again and again while a node serves the store, a few times where nobody does.
    async fn read<'a, T, F>(&'a self, read: impl Fn(&'a dyn Store) -> F) -> Result<T, ExportError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pauses = pauses();
        let mut tries = 0;
        loop {
            let error = match read(&**self.store()).await {
                Ok(read) => return Ok(read),
                Err(error @ StoreError::Fatal(_)) => return Err(error.into()),
                Err(error) => error,
            };
            tries += 1;
            let give_up = match &self.source {
                Source::Node(node) => node.shared().has_ended() || self.out.is_closed(),
                Source::Store(_) => tries == TRIES_MAX,
            };
            if give_up {
                return Err(error.into());
            }
            pauses.wait().await;
        }
    }
}
