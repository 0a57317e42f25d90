//! One partition's content: three ordered maps, its head, who committed last, and what changed lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::contract::{
    Batch, CHANGES_BATCHES_MIN, CHANGES_BYTES_MIN, Changes, Committed, Head, NodeId, Page, Range, Table,
    Values,
};

/// Bytes after which a page ends, whatever the limit says.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// Everything a partition holds, copied for inspection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dump {
    /// Where it stands.
    pub head: Head,
    /// Records of [`Table::Live`].
    pub live: BTreeMap<Bytes, Bytes>,
    /// Records of [`Table::Cold`].
    pub cold: BTreeMap<Bytes, Bytes>,
    /// Records of [`Table::Ordered`].
    pub ordered: BTreeMap<Bytes, Bytes>,
    /// Incarnation and nonce of each node's last committed batch.
    pub committers: BTreeMap<NodeId, (u64, u64)>,
}

/// What one batch replaced, so that it can be lost again.
#[derive(Debug)]
struct Undo {
    head: Head,
    committer: (NodeId, Option<(u64, u64)>),
    values: Vec<(Table, Bytes, Option<Bytes>)>,
}

/// The live keys that one batch changed.
#[derive(Debug)]
struct Change {
    after: Head,
    keys: Vec<Bytes>,
    bytes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Partition {
    data: Dump,
    changes: VecDeque<Change>,
    changes_bytes: u64,
    /// The head before the oldest of `changes`.
    changes_from: Head,
    undo: VecDeque<Undo>,
}

impl Partition {
    /// The commit of the contract, at this instant. `history` batches can be lost again.
    pub(super) fn commit(&mut self, expected: Head, batch: &Batch, history: usize) -> Committed {
        let node = batch.next.committer;
        if self.data.head != expected {
            return match self.data.committers.get(&node) {
                Some(&last) if last == (batch.incarnation, batch.next.nonce) => Committed::Yes(batch.next),
                _ => Committed::Conflict(self.data.head),
            };
        }
        let present: Vec<(Table, Bytes)> = batch
            .absent
            .iter()
            .filter(|(table, key)| self.table(*table).contains_key(key))
            .cloned()
            .collect();
        if !present.is_empty() {
            return Committed::Present(present);
        }

        let mut values = Vec::with_capacity(if history > 0 { batch.writes.len() } else { 0 });
        let mut keys = Vec::new();
        let mut bytes = 0;
        for write in &batch.writes {
            if write.table == Table::Live {
                bytes += (write.key.len() + write.value.as_ref().map_or(0, Bytes::len)) as u64;
                keys.push(write.key.clone());
            }
            let old = self.put(write.table, &write.key, write.value.clone());
            if history > 0 {
                values.push((write.table, write.key.clone(), old));
            }
        }
        let last = self.data.committers.insert(node, (batch.incarnation, batch.next.nonce));
        if history > 0 {
            self.undo.push_back(Undo { head: self.data.head, committer: (node, last), values });
            if self.undo.len() > history {
                self.undo.pop_front();
            }
        }
        self.data.head = batch.next;
        self.remember(Change { after: batch.next, keys, bytes });
        Committed::Yes(batch.next)
    }

    /// Takes the last `n` commits back as if they had never been replicated; how many were.
    pub(super) fn lose(&mut self, n: usize) -> usize {
        let mut lost = 0;
        while lost < n {
            let Some(undo) = self.undo.pop_back() else { break };
            for (table, key, old) in undo.values.into_iter().rev() {
                self.put(table, &key, old);
            }
            match undo.committer {
                (node, Some(last)) => self.data.committers.insert(node, last),
                (node, None) => self.data.committers.remove(&node),
            };
            self.data.head = undo.head;
            match self.changes.pop_back() {
                Some(change) => self.changes_bytes -= change.bytes,
                None => self.changes_from = undo.head,
            }
            lost += 1;
        }
        lost
    }

    pub(super) fn get(&self, keys: &[(Table, Bytes)]) -> Values {
        let values = keys.iter().map(|(table, key)| self.table(*table).get(key).cloned()).collect();
        Values { values, head: self.data.head }
    }

    pub(super) fn load(&self, cursor: Option<Bytes>, rows_max: usize) -> Page {
        self.all(&self.data.live, cursor, rows_max)
    }

    pub(super) fn scan(&self, cursor: Option<Bytes>, rows_max: usize) -> Page {
        self.all(&self.data.cold, cursor, rows_max)
    }

    fn all(&self, table: &BTreeMap<Bytes, Bytes>, cursor: Option<Bytes>, rows_max: usize) -> Page {
        let from = cursor.map_or(Bound::Unbounded, Bound::Included);
        let rows = table.range::<Bytes, _>((from, Bound::Unbounded));
        let (rows, last) = page(rows, rows_max);
        Page { rows, cursor: last.map(|key| after(&key)), head: self.data.head }
    }

    pub(super) fn range(&self, range: &Range) -> Page {
        if range.from >= range.to {
            return Page { rows: Vec::new(), cursor: None, head: self.data.head };
        }
        let limit = range.limit.max(1);
        let rows = self.data.ordered.range::<Bytes, _>(&range.from..&range.to);
        let (rows, cursor) = if range.reverse {
            page(rows.rev(), limit)
        } else {
            let (rows, last) = page(rows, limit);
            (rows, last.map(|key| after(&key)))
        };
        Page { rows, cursor, head: self.data.head }
    }

    pub(super) fn changes(&self, since: Head) -> Changes {
        let later = if since == self.data.head {
            self.changes.len()
        } else if since == self.changes_from {
            0
        } else {
            // A head's version says where in the log it must stand; only an equal head is the same history.
            match self.changes.binary_search_by_key(&since.version, |change| change.after.version) {
                Ok(at) if self.changes.get(at).is_some_and(|change| change.after == since) => at + 1,
                _ => return Changes::TooOld,
            }
        };
        let keys: std::collections::BTreeSet<&Bytes> =
            self.changes.iter().skip(later).flat_map(|change| &change.keys).collect();
        let rows = keys.into_iter().map(|key| (key.clone(), self.data.live.get(key).cloned())).collect();
        Changes::Since { rows, head: self.data.head }
    }

    pub(super) fn head(&self) -> Head {
        self.data.head
    }

    pub(super) fn dump(&self) -> Dump {
        self.data.clone()
    }

    fn put(&mut self, table: Table, key: &Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let map = match table {
            Table::Live => &mut self.data.live,
            Table::Cold => &mut self.data.cold,
            Table::Ordered => &mut self.data.ordered,
        };
        match value {
            Some(value) => map.insert(key.clone(), value),
            None => map.remove(key),
        }
    }

    fn table(&self, table: Table) -> &BTreeMap<Bytes, Bytes> {
        match table {
            Table::Live => &self.data.live,
            Table::Cold => &self.data.cold,
            Table::Ordered => &self.data.ordered,
        }
    }

    fn remember(&mut self, change: Change) {
        self.changes_bytes += change.bytes;
        self.changes.push_back(change);
        while self.changes.len() as u64 > CHANGES_BATCHES_MIN && self.changes_bytes > CHANGES_BYTES_MIN
            || self.changes.len() as u64 > 4 * CHANGES_BATCHES_MIN
            || self.changes_bytes > 4 * CHANGES_BYTES_MIN && self.changes.len() > 1
        {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.changes_bytes -= oldest.bytes;
            self.changes_from = oldest.after;
        }
    }
}

/// The first rows up to the limits, and the last key if more follow.
fn page<'a>(
    rows: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
    limit: usize,
) -> (Vec<(Bytes, Bytes)>, Option<Bytes>) {
    let mut found: Vec<(Bytes, Bytes)> = Vec::new();
    let mut bytes = 0;
    for (key, value) in rows {
        if found.len() == limit || bytes >= PAGE_BYTES {
            let last = found.last().map(|(key, _)| key.clone());
            return (found, last);
        }
        bytes += key.len() + value.len();
        found.push((key.clone(), value.clone()));
    }
    (found, None)
}

/// The smallest key above `key`.
fn after(key: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
