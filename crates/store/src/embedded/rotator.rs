//! Sends memtables that are full enough to disk.
//!
//! The engine below would ask its worker for that itself, once per batch for as long as it has not happened, through
//! a bounded queue that the worker also writes to: a long compaction and a busy committer fill it, and the only worker
//! would wait for itself. So its own limit is out of reach, and this thread rotates, off the commit path.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use fjall::{AbstractTree, Keyspace};

use super::shared::Shared;
use super::tables::Tables;

const MIB: u64 = 1 << 20;

/// The thread that rotates.
pub(super) struct Rotator {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Rotator {
    pub(super) fn start(tables: Arc<Tables>, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("stint-rotator".to_owned())
            .spawn(move || rotate_when_woken(&tables, &shared, &woken))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Wakes the thread if a memtable is full enough; cheap, called for every group.
    pub(super) fn after_write(&self, tables: &Tables, shared: &Shared) {
        if !limits(tables).iter().any(|(table, limit)| over(table, *limit)) {
            return;
        }
        match self.wake.as_ref().map(|wake| wake.try_send(())) {
            Some(Ok(()) | Err(TrySendError::Full(()))) => {}
            Some(Err(TrySendError::Disconnected(()))) | None => {
                shared.fail("the thread that rotates memtables ended")
            }
        }
    }

    pub(super) fn stop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _panic_was_seen_as_the_end = thread.join();
        }
    }
}

fn rotate_when_woken(tables: &Tables, shared: &Shared, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        for (table, limit) in limits(tables) {
            if over(table, limit)
                && let Err(error) = table.rotate_memtable()
            {
                shared.fail(&format!("a memtable can't be rotated: {error}"));
                return;
            }
        }
    }
}

/// Size at which each keyspace's memtable goes to disk. Heads are few and overwritten all the time.
fn limits(tables: &Tables) -> [(&Keyspace, u64); 4] {
    [
        (&tables.live, 16 * MIB),
        (&tables.cold, 32 * MIB),
        (&tables.ordered, 16 * MIB),
        (&tables.heads, 4 * MIB),
    ]
}

fn over(table: &Keyspace, limit: u64) -> bool {
    table.tree.active_memtable().size() > limit
}
