//! How many executions a filter wants: as far as indexes tell, and within bounds.

use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join_all};
use stint_api::COUNT_LIMIT;
use stint_core::find::{Filter, Summary};
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
        let range = tagged.range(START, false, PORTION);
        let is_all = tagged.is_all();
        let count = |rows: Rows, partition| -> Counting<'_> {
            Box::pin(async move {
                if is_all {
                    return Ok(rows.len() as u64);
                }
                let ids = rows.iter().filter_map(|(row, _)| key::read_tag(row)).map(|(_, id)| id).collect();
                let found = read::any(node, partition, ids).await?;
                let wanted = |row: &&Summary| filter.matches(row);
                Ok(found.iter().flatten().filter(wanted).count() as u64)
            })
        };
        scan(node, range, rows_max, 0, count).await?
    } else {
        let open = if filter.wants_open() { open(node, filter).await? } else { 0 };
        if !filter.wants_ended() || open >= COUNT_LIMIT {
            (open, false)
        } else {
            let ended = Ended::new(node, filter);
            let range = ended.range(START, false, PORTION);
            let ended = &ended;
            let count = |rows: Rows, _| -> Counting<'_> {
                Box::pin(async move { Ok(ended.wanted(&rows).await?.len() as u64) })
            };
            scan(node, range, ROWS_MAX, open, count).await?
        }
    };
    Ok((count.min(COUNT_LIMIT), is_more || count >= COUNT_LIMIT))
}

type Rows = Vec<(bytes::Bytes, bytes::Bytes)>;

/// How many of some rows are wanted. Boxed, as the compiler can't tell of an async closure that it may move to another
/// thread.
type Counting<'a> = BoxFuture<'a, Result<u64, CallError>>;

async fn open(node: &Node, filter: &Arc<Filter>) -> Result<u64, CallError> {
    let counts = PartitionId::all().map(|partition| {
        let filter = filter.clone();
        let count = move |projection: &Partition| projection.count(&filter, COUNT_LIMIT);
        shelved(node, partition, count)
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Counts in the same range of every partition, a portion of each in turn, on top of `count`.
async fn scan<'a>(
    node: &Node,
    range: Range,
    rows_max: usize,
    mut count: u64,
    wanted: impl Fn(Rows, PartitionId) -> Counting<'a> + Sync,
) -> Result<(u64, bool), CallError> {
    let mut rests: Vec<(PartitionId, Range)> =
        PartitionId::all().map(|partition| (partition, range.clone())).collect();
    let mut looked = 0;
    while !rests.is_empty() && looked < rows_max && count < COUNT_LIMIT {
        let limit = ((rows_max - looked) / rests.len()).clamp(1, PORTION);
        let wanted = &wanted;
        let reads = rests.iter().map(|(partition, rest)| {
            let (partition, range) = (*partition, Range { limit, ..rest.clone() });
            async move {
                let page = read::range(node, partition, range).await?;
                let seen = page.rows.len();
                Ok::<_, CallError>((seen, wanted(page.rows, partition).await?, page.cursor))
            }
        });
        let mut next = Vec::new();
        for ((seen, found, cursor), (partition, rest)) in try_join_all(reads).await?.into_iter().zip(&rests) {
            looked += seen.max(1);
            count += found;
            next.extend(cursor.map(|from| (*partition, Range { from, ..rest.clone() })));
        }
        rests = next;
    }
    Ok((count, !rests.is_empty()))
}
