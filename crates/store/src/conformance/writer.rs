//! A node that writes while a case reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{NODE, P, Reason, batch, commit};
use crate::contract::{Head, Store, Write};

/// Shared between a writer and the reader that watches it.
#[derive(Default)]
pub(super) struct Progress {
    /// Batches committed.
    pub(super) committed: AtomicU64,
    /// Set by the reader when it has seen enough.
    pub(super) stop: AtomicBool,
}

/// Commits the batches that `writes` makes for 0, 1, 2, ... until told to stop, at least `least` and at most
/// `most` of them, and answers the last head. It yields after each, so that a reader on the same thread has its turn.
pub(super) async fn write_on(
    store: Arc<dyn Store>,
    from: Head,
    least: u64,
    most: u64,
    progress: &Progress,
    writes: impl Fn(u64) -> Vec<Write>,
) -> Result<Head, Reason> {
    let mut head = from;
    for n in 0..most {
        if n >= least && progress.stop.load(Ordering::Acquire) {
            break;
        }
        head = commit(store.as_ref(), P, head, &batch(NODE, head, writes(n))).await?;
        progress.committed.store(n + 1, Ordering::Release);
        tokio::task::yield_now().await;
    }
    Ok(head)
}
