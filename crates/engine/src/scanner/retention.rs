//! Retention: ended executions that have outlived theirs go, with all that hangs on them; so do keys that outlived their
//! execution.
//!
//! Three ordered ranges say what is due: `e` (by end, those with the default retention), `f` (those with one of their
//! own) and `y` (idempotency keys). A pass takes the due rows of each, and ends with the first that is not due yet.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use stint_core::command::{Outcome, Trim, TrimKey};
use stint_core::model::RETENTION_MS;
use stint_core::{Command, ExecutionId, Key, Millis, PARTITIONS, PartitionId, Table, key};
use stint_store as store;

use super::{Scanned, Scanner};
use crate::node::Shared;

/// Rows of one range and pass.
const ROWS: usize = 200;

/// Steps of one execution that go at once.
const STEPS: usize = 500;

/// Rows of so long ago are all committed: younger ones never raise the floor.
const SETTLED_MS: Millis = 60_000;

/// A row that failed is tried again after this time.
const AGAIN_MS: Millis = 60_000;

/// The kinds of rows, and how long after the row's time they are due.
const KINDS: [(u8, Millis); 3] = [(b'e', RETENTION_MS), (b'f', 0), (b'y', 0)];

/// See the module.
pub(super) struct Retention {
    shared: Arc<Shared>,
    /// Below these keys nothing is left to do, per partition and kind: rows of executions with a longer retention stay.
    floors: Mutex<Vec<[Bytes; KINDS.len()]>>,
}

/// A row that is due.
enum Due {
    Execution(ExecutionId),
    Key(Millis, [u8; 16]),
}

impl Retention {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let floors =
            (0..PARTITIONS).map(|_| KINDS.map(|(kind, _)| Bytes::copy_from_slice(&[kind]))).collect();
        Self { shared, floors: Mutex::new(floors) }
    }

    async fn scan(&self, partition: PartitionId, now: Millis) -> Scanned {
        let mut scanned = Scanned::default();
        self.shared.trims.begin(partition);
        for (index, (kind, after)) in KINDS.into_iter().enumerate() {
            match self.scan_kind(partition, index, kind, after, now).await {
                Ok(kind) => {
                    scanned.processed += kind.processed;
                    scanned.errors += kind.errors;
                }
                Err(error) => {
                    tracing::warn!(partition = partition.0, %error, "what is due for trimming can't be read");
                    self.shared.trims.found(partition, now + AGAIN_MS);
                    scanned.errors += 1;
                }
            }
        }
        scanned
    }

    async fn scan_kind(
        &self,
        partition: PartitionId,
        index: usize,
        kind: u8,
        after: Millis,
        now: Millis,
    ) -> Result<Scanned, store::StoreError> {
        let of = store::PartitionId(partition.0);
        let floor = self.floor(partition, index);
        let range = store::Range { from: floor, ..store::Range::prefix(&[kind], ROWS) };
        let page = self.shared.store.range(of, range).await?;
        let mut due = Vec::new();
        let mut last = None;
        let mut next = if page.cursor.is_some() { now } else { Millis::MAX };
        for (row, _) in page.rows {
            let at = time(&row).saturating_add(after);
            if at > now {
                next = at;
                break;
            }
            due.extend(parse(kind, &row));
            last = Some(row);
        }
        let results = join_all(due.iter().map(|due| self.trim(partition, due))).await;
        let errors = results.iter().filter(|trimmed| !**trimmed).count();
        if errors > 0 {
            // The floor stays, so that they are found again.
            self.shared.trims.found(partition, now + AGAIN_MS);
        } else {
            // A batch under way may still put a row of a moment ago below the last one seen.
            if let Some(last) = last.filter(|last| time(last) < now - SETTLED_MS) {
                self.raise(partition, index, &last);
            }
            self.shared.trims.found(partition, next);
        }
        Ok(Scanned { processed: due.len() - errors, errors })
    }

    /// Trims one row; the rules look again whether it is due.
    async fn trim(&self, partition: PartitionId, due: &Due) -> bool {
        let id = match due {
            Due::Key(at, hash) => {
                let command = Command::TrimKey(TrimKey { hash: *hash, at: *at });
                return self.shared.call(partition, command).await.is_ok();
            }
            Due::Execution(id) => *id,
        };
        let mut charges = false;
        loop {
            let prefix = if charges { key::lease_charges(id) } else { key::steps(id) };
            let Ok((steps, more)) = self.rows(partition, &prefix).await else { return false };
            let command = Command::Trim(Trim { id, steps, more, charges });
            match self.shared.call(partition, command).await {
                Err(_) => return false,
                Ok(Outcome::HasCharges) => charges = true,
                Ok(_) if !more => return true,
                Ok(_) => {}
            }
        }
    }

    /// The first of an execution's steps or charges, and whether there are more.
    async fn rows(
        &self,
        partition: PartitionId,
        prefix: &Key,
    ) -> Result<(Vec<Key>, bool), store::StoreError> {
        let range = store::Range::prefix(&prefix.bytes, STEPS);
        let page = self.shared.store.range(store::PartitionId(partition.0), range).await?;
        let steps = page.rows.into_iter().map(|(bytes, _)| Key { table: Table::Ordered, bytes });
        Ok((steps.collect(), page.cursor.is_some()))
    }

    fn floor(&self, partition: PartitionId, index: usize) -> Bytes {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(usize::from(partition.0)).and_then(|kinds| kinds.get(index)).cloned().unwrap_or_default()
    }

    fn raise(&self, partition: PartitionId, index: usize, last: &Bytes) {
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(floor) = floors.get_mut(usize::from(partition.0)).and_then(|kinds| kinds.get_mut(index)) {
            let mut above = Vec::with_capacity(last.len() + 1);
            above.extend_from_slice(last);
            above.push(0);
            *floor = above.into();
        }
    }
}

impl Scanner for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn filter(&self, partition: PartitionId, now: Millis) -> bool {
        self.shared.trims.due(partition) <= now
    }

    fn next(&self) -> Millis {
        self.shared.trims.next()
    }

    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned> {
        Box::pin(self.scan(partition, now))
    }
}

fn time(row: &[u8]) -> Millis {
    row.get(1..9).and_then(|at| at.try_into().ok()).map_or(Millis::MAX, Millis::from_be_bytes)
}

fn parse(kind: u8, row: &[u8]) -> Option<Due> {
    let id: [u8; 16] = row.get(9..25)?.try_into().ok()?;
    Some(if kind == b'y' { Due::Key(time(row), id) } else { Due::Execution(ExecutionId(id)) })
}
