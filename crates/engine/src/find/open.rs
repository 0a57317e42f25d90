//! Open executions, from the projections' shelves.

use std::sync::Arc;

use stint_core::PartitionId;
use stint_core::find::{Filter, Position, Summary};

use super::merge::{Portion, Source};
use crate::{CallError, Node};

/// See the module.
pub(super) struct Open<'a> {
    pub(super) node: &'a Node,
    pub(super) filter: &'a Arc<Filter>,
}

impl Source for Open<'_> {
    type Row = Summary;

    async fn read(
        &self,
        partition: PartitionId,
        before: Position,
        most: usize,
    ) -> Result<Portion<Summary>, CallError> {
        let filter = self.filter.clone();
        let list = move |projection: &stint_core::Partition| projection.list(&filter, Some(before), most);
        let found = shelved(self.node, partition, list).await?;
        let to = found.last().filter(|_| found.len() >= most).map(Summary::by_submission);
        let looked = found.len();
        let rows = found.into_iter().map(|row| (row.by_submission(), row)).collect();
        Ok(Portion { rows, looked, to })
    }
}

/// Looks at a projection that has its shelves; they are built first if need be.
pub(super) async fn shelved<T: Send + 'static>(
    node: &Node,
    partition: PartitionId,
    look: impl Fn(&stint_core::Partition) -> Option<T> + Clone + Send + 'static,
) -> Result<T, CallError> {
    node.shared().listed.note();
    loop {
        if let Some(seen) = node.look(partition, look.clone()).await? {
            return Ok(seen);
        }
        // Step by step: commands come in between. A partition that is loaded anew meanwhile begins anew.
        while !node.shelve(partition).await? {}
    }
}
