//! Ended executions, from the keys that list them by time.

use bytes::Bytes;
use stint_core::find::{Filter, Mark, Marked, Position};
use stint_core::{ExecutionId, PartitionId, key};
use stint_store as store;

use super::merge::{Portion, Source};
use super::read;
use crate::{CallError, Node};

/// See the module. Its rows are those that a filter may want; their records are still to be read.
pub(super) struct Ended<'a> {
    node: &'a Node,
    filter: &'a Filter,
    mark: Mark,
}

impl<'a> Ended<'a> {
    pub(super) fn new(node: &'a Node, filter: &'a Filter) -> Self {
        Self { node, filter, mark: Mark::wanted(filter) }
    }

    /// Those of some index rows that a filter may want.
    pub(super) async fn wanted(&self, rows: &[(Bytes, Bytes)]) -> Result<Vec<Position>, CallError> {
        let mut wanted = Vec::with_capacity(rows.len());
        let mut unclear = Vec::new();
        for (row, mark) in rows {
            let Some(place) = key::read_ended(row) else { continue };
            match self.mark.compare(mark) {
                Marked::Other => {}
                Marked::Wanted => wanted.push(place),
                Marked::Unclear => unclear.push(place),
            }
        }
        if !unclear.is_empty() {
            let records = read::ended(self.node, &unclear).await?;
            let matches =
                |record: &Option<_>| record.as_ref().is_some_and(|record| self.filter.matches(record));
            wanted
                .extend(unclear.into_iter().zip(records).filter(|(_, r)| matches(r)).map(|(place, _)| place));
            wanted.sort_by(|a, b| b.cmp(a));
        }
        Ok(wanted)
    }

    /// The index rows in the filter's span of time, below a place.
    pub(super) fn range(&self, before: Position, reverse: bool, limit: usize) -> store::Range {
        let span = self.filter.span();
        let first = ExecutionId([0; 16]);
        let (end, id) = before.min((span.end, first));
        let from = key::ended(span.start.max(0), first).bytes;
        // Keys order by their bytes, in which what is before 1970 would come last; nothing ended then.
        let to = if end < 0 { from.clone() } else { key::ended(end, id).bytes };
        store::Range { from, to, reverse, limit }
    }
}

impl Source for Ended<'_> {
    type Row = ();

    async fn read(
        &self,
        partition: PartitionId,
        before: Position,
        most: usize,
    ) -> Result<Portion<()>, CallError> {
        let page = read::range(self.node, partition, self.range(before, true, most)).await?;
        let wanted = self.wanted(&page.rows).await?;
        Ok(Portion {
            looked: page.rows.len(),
            rows: wanted.into_iter().map(|place| (place, ())).collect(),
            to: page.cursor.as_deref().and_then(key::read_ended),
        })
    }
}
