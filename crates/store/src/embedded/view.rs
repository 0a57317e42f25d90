//! What is committed: one snapshot of all keyspaces, and the heads it stands at.
//!
//! A view is made only by the committer, between two groups. That is what makes it atomic: the engine below gives
//! its compactions a sequence number of their own and publishes it, so a snapshot opened in the middle of a group
//! could see half of one.

use std::sync::Arc;

use bytes::Bytes;
use fjall::{Readable, Snapshot};

use super::tables::{KeyBuffer, Tables, record_key};
use crate::contract::{Head, META, Page, PartitionId, Range, Table, Values};

/// Rows of a page of a whole table.
const LOAD_ROWS: usize = 4_096;

/// Bytes at which any page ends.
const PAGE_BYTES: usize = 1 << 20;

/// The heads of all partitions, [`META`]'s last.
pub(super) type Heads = [Head; META.0 as usize + 1];

/// See the module.
pub(super) struct View {
    pub(super) tables: Arc<Tables>,
    pub(super) snapshot: Snapshot,
    pub(super) heads: Heads,
}

impl View {
    pub(super) fn head(&self, partition: PartitionId) -> Head {
        self.heads.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    pub(super) fn get(&self, partition: PartitionId, keys: &[(Table, Bytes)]) -> fjall::Result<Values> {
        let mut buffer = KeyBuffer::default();
        let mut values = Vec::with_capacity(keys.len());
        for (table, key) in keys {
            let value = self.snapshot.get(self.tables.of(*table), buffer.key(partition, key))?;
            values.push(value.map(|value| Bytes::copy_from_slice(&value)));
        }
        Ok(Values { values, head: self.head(partition) })
    }

    /// Those of the keys that exist.
    pub(super) fn present(
        &self,
        partition: PartitionId,
        keys: &[(Table, Bytes)],
    ) -> fjall::Result<Vec<(Table, Bytes)>> {
        let mut buffer = KeyBuffer::default();
        let mut present = Vec::new();
        for (table, key) in keys {
            if self.snapshot.contains_key(self.tables.of(*table), buffer.key(partition, key))? {
                present.push((*table, key.clone()));
            }
        }
        Ok(present)
    }

    /// A page of a whole table, in key order.
    pub(super) fn all(
        &self,
        table: Table,
        partition: PartitionId,
        cursor: Option<&Bytes>,
    ) -> fjall::Result<Page> {
        let from = KeyBuffer::default().key(partition, cursor.map_or(&[], |c| c)).to_vec();
        let rows = self.snapshot.range(self.tables.of(table), from..vec![partition.0 + 1]);
        let (rows, last) = page(rows, LOAD_ROWS)?;
        Ok(Page { rows, cursor: last.map(|key| after(&key)), head: self.head(partition) })
    }

    pub(super) fn range(&self, partition: PartitionId, range: &Range) -> fjall::Result<Page> {
        let head = self.head(partition);
        if range.from >= range.to {
            return Ok(Page { rows: Vec::new(), cursor: None, head });
        }
        let from = KeyBuffer::default().key(partition, &range.from).to_vec();
        let to = KeyBuffer::default().key(partition, &range.to).to_vec();
        let rows = self.snapshot.range(&self.tables.ordered, from..to);
        let limit = range.limit.max(1);
        let (rows, cursor) = if range.reverse {
            page(rows.rev(), limit)?
        } else {
            let (rows, last) = page(rows, limit)?;
            (rows, last.map(|key| after(&key)))
        };
        Ok(Page { rows, cursor, head })
    }
}

type Rows = Vec<(Bytes, Bytes)>;

/// The first rows up to the limits, and the last key if more follow.
fn page(guards: impl Iterator<Item = fjall::Guard>, limit: usize) -> fjall::Result<(Rows, Option<Bytes>)> {
    let mut rows: Rows = Vec::new();
    let mut bytes = 0;
    for guard in guards {
        if rows.len() == limit || bytes >= PAGE_BYTES {
            let last = rows.last().map(|(key, _)| key.clone());
            return Ok((rows, last));
        }
        let (key, value) = guard.into_inner()?;
        // Copies: a slice would keep the whole block it was read from in memory.
        let row = (Bytes::copy_from_slice(record_key(&key)), Bytes::copy_from_slice(&value));
        bytes += row.0.len() + row.1.len();
        rows.push(row);
    }
    Ok((rows, None))
}

/// The smallest key above `key`.
fn after(key: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
