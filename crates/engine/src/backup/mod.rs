//! Backups: the engine's own export, one format for every store, and what puts it back.
//!
//! | file | what |
//! |---|---|
//! | `format.rs`, `decode.rs` | bytes: `docs/BACKUP.md` describes them |
//! | `tee.rs` | what a partition commits while it is copied |
//! | `export.rs` | a backup is written, from a running node or from a store that nobody serves |
//! | `verify.rs` | whether a backup is whole |
//! | `restore.rs`, `marker.rs` | a backup goes into an empty store; what says that it is not all there yet |

mod decode;
mod export;
mod format;
pub(crate) mod marker;
mod restore;
pub(crate) mod tee;
mod verify;

use std::sync::Arc;

use bytes::Bytes;
use stint_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

pub use decode::{Damage, Decoder, Frames, ReadError};
pub use export::ExportError;
use export::Source;
pub use format::{Counts, Frame, Header};
pub use restore::{RestoreError, Restored, restore};
pub use verify::{Arriving, Contents, Section, verify};

use crate::Node;
use crate::random::Randomness;

/// Pieces that may wait for whoever takes the backup; each is at most a little over a MiB.
const PIECES: usize = 4;

/// A backup that is being made. Dropping it ends it.
#[derive(Debug)]
pub struct Backup {
    pieces: mpsc::Receiver<Bytes>,
    task: Task,
    /// Kept until nobody takes pieces any more.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Ends with whoever waits for it.
#[derive(Debug)]
struct Task(JoinHandle<Result<Counts, ExportError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Backup {
    /// Begins to copy what a node serves, while it goes on.
    pub(crate) fn of_node(node: Node, turn: OwnedSemaphorePermit) -> Self {
        let (id, began_at) = (node.random().to_be_bytes(), node.now());
        let clock = node.clone();
        let backup = Self::begin(Source::Node(node), id, began_at, move || clock.now());
        Self { _turn: Some(turn), ..backup }
    }

    /// Begins to copy a store that nobody serves.
    pub async fn of_store(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let id = Randomness::new(None).wide().to_be_bytes();
        let began_at = store.clock().await?;
        let began = tokio::time::Instant::now();
        let now = move || began_at.saturating_add(crate::clock::millis(began.elapsed()));
        Ok(Self::begin(Source::Store(store), id, began_at, now))
    }

    fn begin(source: Source, id: [u8; 16], began_at: i64, now: impl Fn() -> i64 + Send + 'static) -> Self {
        let (out, pieces) = mpsc::channel(PIECES);
        let task = tokio::spawn(async move {
            let ended = export::export(source, id, began_at, now, out).await;
            match &ended {
                Ok(counts) => {
                    tracing::info!(rows = counts.rows, bytes = counts.bytes, "a backup is complete")
                }
                Err(error) => tracing::warn!(%error, "a backup was not completed"),
            }
            ended
        });
        Self { pieces, task: Task(task), _turn: None }
    }

    /// The next piece; `None` at the end, which is not to say that it is complete: its last frame does.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }

    /// How it ended, once there are no more pieces.
    pub async fn ended(mut self) -> Result<Counts, ExportError> {
        self.pieces.close();
        (&mut self.task.0).await.unwrap_or(Err(ExportError::Gone))
    }
}
