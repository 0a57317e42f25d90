//! What callers and the committer share: the present view, whether the store has failed, counters, room.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::room::Disk;
use super::view::View;
use super::{Durability, OnFatal};
use crate::contract::{Counters, StoreError};

/// See the module.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    pub(super) disk: Disk,
    pub(super) counts: Counts,
    view: RwLock<Option<Arc<View>>>,
    closed: AtomicBool,
    fatal: OnceLock<String>,
    on_fatal: Option<OnFatal>,
}

impl Shared {
    pub(super) fn new(path: PathBuf, durability: Durability, disk: Disk, on_fatal: Option<OnFatal>) -> Self {
        Self {
            path,
            durability,
            disk,
            counts: Counts::default(),
            view: RwLock::new(None),
            closed: AtomicBool::new(false),
            fatal: OnceLock::new(),
            on_fatal,
        }
    }

    /// The view that reads go to.
    pub(super) fn view(&self) -> Result<Arc<View>, StoreError> {
        self.check()?;
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.clone().ok_or_else(|| self.gone())
    }

    pub(super) fn publish(&self, view: View) {
        let view = Some(Arc::new(view));
        let old = std::mem::replace(&mut *self.view.write().unwrap_or_else(PoisonError::into_inner), view);
        drop(old);
    }

    /// Takes the view away: from here on the store is closed.
    pub(super) fn retract(&self) {
        self.closed.store(true, Relaxed);
        let old = self.view.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(old);
    }

    /// Whether the store may still be used.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.fatal.get() {
            Some(reason) => Err(StoreError::Fatal(reason.clone())),
            None => Ok(()),
        }
    }

    /// Why the committer takes no more.
    pub(super) fn gone(&self) -> StoreError {
        match self.check() {
            Err(error) => error,
            Ok(()) if self.closed.load(Relaxed) => {
                StoreError::Unavailable(format!("{} is closed", self.path.display()))
            }
            Ok(()) => StoreError::Fatal("the committer has ended".to_owned()),
        }
    }

    /// From here on every call answers `Fatal`: what a failed write or a damaged read left behind is not known.
    pub(super) fn fail(&self, reason: &str) {
        if self.fatal.set(reason.to_owned()).is_ok() {
            tracing::error!(path = %self.path.display(), reason, "the store has failed and must not be used again");
            if let Some(on_fatal) = &self.on_fatal {
                on_fatal(reason);
            }
        }
    }

    /// A read of the engine below. One that fails means damaged data or a dying disk.
    pub(super) fn read<T>(&self, read: fjall::Result<T>) -> Result<T, StoreError> {
        read.map_err(|error| {
            let reason = format!("a read failed: {error}");
            self.fail(&reason);
            StoreError::Fatal(reason)
        })
    }
}

/// Counters, written by the committer.
#[derive(Debug, Default)]
pub(super) struct Counts {
    commits: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    longest_us: AtomicU64,
}

impl Counts {
    pub(super) fn synced(&self) {
        self.syncs.fetch_add(1, Relaxed);
    }

    pub(super) fn committed(&self, writes: usize, bytes: usize, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        self.writes.fetch_add(writes as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.longest_us.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn read(&self) -> Counters {
        Counters {
            commits: self.commits.load(Relaxed),
            writes: self.writes.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            longest_commit_us: self.longest_us.load(Relaxed),
        }
    }
}
