//! How many executions a filter wants: as far as indexes tell, and within bounds.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use stint_api::COUNT_LIMIT;
use stint_core::find::Filter;
use stint_core::{Partition, PartitionId, key};
use stint_store::Range;

use super::cursor::START;
use super::ended::Ended;
use super::open::shelved;
use super::tagged::Tagged;
use super::{RECORDS_MAX, read};
use crate::{CallError, Node};

/// Index rows looked at at most: about as many as are counted at most.
const ROWS_MAX: usize = 100_000;

/// Rows of a partition read at once.
const PORTION: usize = 500;

/// How many, and whether there may be more.
pub(crate) async fn count(node: &Node, filter: &Arc<Filter>) -> Result<(u64, bool), CallError> {
    let (count, is_more) = if let Some(tagged) = Tagged::new(node, filter) {
        let rows_max = if tagged.is_all() { ROWS_MAX } else { RECORDS_MAX };
        scan(node, &tagged, tagged.range(START, false, PORTION), rows_max, 0).await?
    } else {
        let open = if filter.wants_open() { open(node, filter).await? } else { 0 };
        if !filter.wants_ended() || open >= COUNT_LIMIT {
            (open, false)
        } else {
            let ended = Ended::new(node, filter);
            scan(node, &ended, ended.range(START, false, PORTION), ROWS_MAX, open).await?
        }
    };
    Ok((count.min(COUNT_LIMIT), is_more || count >= COUNT_LIMIT))
}

async fn open(node: &Node, filter: &Arc<Filter>) -> Result<u64, CallError> {
    let counts = PartitionId::all().map(|partition| {
        let filter = filter.clone();
        let count = move |projection: &Partition| projection.count(&filter, COUNT_LIMIT);
        shelved(node, partition, count)
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Index rows, of which some are wanted.
trait Counted: Sync {
    /// How many of these rows are wanted.
    fn wanted(
        &self,
        partition: PartitionId,
        rows: Vec<(Bytes, Bytes)>,
    ) -> impl Future<Output = Result<usize, CallError>> + Send;
}

impl Counted for Ended<'_> {
    async fn wanted(&self, _: PartitionId, rows: Vec<(Bytes, Bytes)>) -> Result<usize, CallError> {
        Ok(Ended::wanted(self, &rows).await?.len())
    }
}

impl Counted for Tagged<'_> {
    async fn wanted(&self, partition: PartitionId, rows: Vec<(Bytes, Bytes)>) -> Result<usize, CallError> {
        if self.is_all() {
            return Ok(rows.len());
        }
        let ids = rows.iter().filter_map(|(row, _)| key::read_tag(row)).map(|(_, id)| id).collect();
        let found = Tagged::wanted(self, partition, ids).await?;
        Ok(found.into_iter().flatten().count())
    }
}

/// Counts in the same range of every partition, a portion of each in turn, on top of `count`.
async fn scan(
    node: &Node,
    counted: &impl Counted,
    range: Range,
    rows_max: usize,
    mut count: u64,
) -> Result<(u64, bool), CallError> {
    let mut rests: Vec<(PartitionId, Range)> =
        PartitionId::all().map(|partition| (partition, range.clone())).collect();
    let mut looked = 0;
    while !rests.is_empty() && looked < rows_max && count < COUNT_LIMIT {
        let limit = ((rows_max - looked) / rests.len()).clamp(1, PORTION);
        let reads = rests.iter().map(async |(partition, rest)| {
            let page = read::range(node, *partition, Range { limit, ..rest.clone() }).await?;
            let seen = page.rows.len();
            Ok::<_, CallError>((seen, counted.wanted(*partition, page.rows).await?, page.cursor))
        });
        let mut next = Vec::new();
        for ((seen, found, cursor), (partition, rest)) in try_join_all(reads).await?.into_iter().zip(&rests) {
            looked += seen.max(1);
            count += found as u64;
            next.extend(cursor.map(|from| (*partition, Range { from, ..rest.clone() })));
        }
        rests = next;
    }
    Ok((count, !rests.is_empty()))
}
