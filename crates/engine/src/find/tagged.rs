//! Executions with a tag, open and ended, from the keys that list them by tag.

use std::sync::Arc;

use stint_core::find::{Filter, Position, Summary};
use stint_core::key::NameHash;
use stint_core::{ExecutionId, PartitionId, key};
use stint_store as store;

use super::merge::{Portion, Source};
use super::read;
use crate::{CallError, Node};

/// See the module.
pub(super) struct Tagged<'a> {
    node: &'a Node,
    filter: &'a Arc<Filter>,
    /// Of the first tag that is wanted; the others are looked for among what it finds.
    hash: NameHash,
}

impl<'a> Tagged<'a> {
    /// `None` if the filter wants no tag.
    pub(super) fn new(node: &'a Node, filter: &'a Arc<Filter>) -> Option<Self> {
        let (tag, value) = filter.tags.first()?;
        Some(Self { node, filter, hash: key::tag_hash(&filter.namespace, tag, value) })
    }

    /// Whether every row is wanted, so that they can be counted as they are.
    pub(super) fn is_all(&self) -> bool {
        let Filter { state, lane, kind, tags, error_type, since, until, .. } = &**self.filter;
        let other = state.is_some() || lane.is_some() || kind.is_some() || error_type.is_some();
        !other && since.is_none() && until.is_none() && tags.len() == 1
    }

    /// The index rows below a place. Nothing ends before it is submitted; but it may end at any time after that.
    pub(super) fn range(&self, before: Position, reverse: bool, limit: usize) -> store::Range {
        let first = ExecutionId([0; 16]);
        let (at, id) = before.min((self.filter.span().end, first));
        let from = key::tag(self.hash, 0, first).bytes;
        let to = if at < 0 { from.clone() } else { key::tag(self.hash, at, id).bytes };
        store::Range { from, to, reverse, limit }
    }

    /// Executions of a partition; `None` in place of those that are gone or not wanted.
    pub(super) async fn wanted(
        &self,
        partition: PartitionId,
        ids: Vec<ExecutionId>,
    ) -> Result<Vec<Option<Summary>>, CallError> {
        let found = read::any(self.node, partition, ids).await?;
        Ok(found.into_iter().map(|row| row.filter(|row| self.filter.matches(row))).collect())
    }
}

impl Source for Tagged<'_> {
    type Row = Summary;

    async fn read(
        &self,
        partition: PartitionId,
        before: Position,
        most: usize,
    ) -> Result<Portion<Summary>, CallError> {
        let page = read::range(self.node, partition, self.range(before, true, most)).await?;
        let places: Vec<Position> = page.rows.iter().filter_map(|(row, _)| key::read_tag(row)).collect();
        let found = self.wanted(partition, places.iter().map(|(_, id)| *id).collect()).await?;
        let wanted = places.into_iter().zip(found);
        Ok(Portion {
            looked: page.rows.len(),
            rows: wanted.filter_map(|(place, row)| Some((place, row?))).collect(),
            to: page.cursor.as_deref().and_then(key::read_tag),
        })
    }
}
