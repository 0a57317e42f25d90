//! Finding: a filter becomes pages of summaries, put together from all partitions.
//!
//! | file | what |
//! |---|---|
//! | `merge.rs` | one order from 64 partitions, reading from each no more than needed |
//! | `open.rs` | open executions, from the projections' shelves |
//! | `ended.rs` | ended ones, from the keys that list them by time |
//! | `tagged.rs` | both, by one of their tags |
//! | `count.rs` | how many |
//! | `cursor.rs` | where a page ended |
//!
//! Pages hold what is committed. Open executions come first, newest submission first, then ended ones, newest end first;
//! those with a tag are all in the order of their submission. An execution that ends between two pages may come twice;
//! none that stays as it is from the first page to the last is left out.

mod count;
mod cursor;
mod ended;
mod merge;
mod open;
mod read;
mod tagged;

use std::collections::BTreeSet;
use std::sync::Arc;

use stint_core::ExecutionId;
use stint_core::find::{Filter, Summary};

pub(crate) use count::count;
pub(crate) use cursor::Cursor;
use cursor::{Part, START};
pub(crate) use read::tags_of;

use crate::{CallError, Node};

/// Index rows looked at for one page.
const LOOKED_MAX: usize = 10_000;

/// Records read in full to find out whether a page wants them.
const RECORDS_MAX: usize = 2_000;

/// A page.
#[derive(Debug)]
pub(crate) struct Found {
    /// In order, with their tags.
    pub(crate) rows: Vec<Summary>,
    /// Where the next page begins, if this is not the last. A page may be short, even empty, and not be the last.
    pub(crate) next: Option<Cursor>,
}

/// The page of at most `limit` executions that begins at `from`.
pub(crate) async fn page(
    node: &Node,
    filter: &Arc<Filter>,
    from: Option<Cursor>,
    limit: usize,
) -> Result<Found, CallError> {
    let from = from.unwrap_or_else(|| Cursor::first(filter));
    match from.part {
        Part::Tagged => tagged(node, filter, from, limit).await,
        Part::Ended => ended(node, filter, from, limit, Vec::new()).await,
        Part::Open => {
            let rows = if filter.wants_open() {
                let (rows, next) = open(node, filter, from, limit).await?;
                if next.is_some() {
                    return Ok(Found { rows, next });
                }
                rows
            } else {
                Vec::new()
            };
            let from = Cursor { part: Part::Ended, before: START };
            if !filter.wants_ended() {
                return Ok(Found { rows, next: None });
            }
            if rows.len() >= limit {
                return Ok(Found { rows, next: Some(from) });
            }
            ended(node, filter, from, limit, rows).await
        }
    }
}

async fn open(
    node: &Node,
    filter: &Arc<Filter>,
    from: Cursor,
    limit: usize,
) -> Result<(Vec<Summary>, Option<Cursor>), CallError> {
    let source = open::Open { node, filter };
    // All that is on a shelf is wanted: there is nothing to look at in vain.
    let found = merge::merge(&source, from.before, limit, usize::MAX).await?;
    let mut rows: Vec<Summary> = found.rows.into_iter().map(|(_, row)| row).collect();
    read::add_tags(node, &mut rows).await?;
    Ok((rows, found.to.map(|before| Cursor { before, ..from })))
}

/// Fills up a page that begins with `rows`.
async fn ended(
    node: &Node,
    filter: &Arc<Filter>,
    from: Cursor,
    limit: usize,
    mut rows: Vec<Summary>,
) -> Result<Found, CallError> {
    if !filter.wants_ended() {
        return Ok(Found { rows, next: None });
    }
    let source = ended::Ended::new(node, filter);
    let found = merge::merge(&source, from.before, limit - rows.len(), LOOKED_MAX).await?;
    let shown: BTreeSet<ExecutionId> = rows.iter().map(|row| row.id).collect();
    let places: Vec<_> = found.rows.into_iter().map(|(place, ())| place).collect();
    let records = read::ended(node, &places).await?;
    // One that was replayed meanwhile is elsewhere now; names that differ may have the same hash.
    let holds =
        |row: &Summary, at| row.ended_at == Some(at) && !shown.contains(&row.id) && filter.matches(row);
    let records = places.iter().zip(records);
    rows.extend(records.filter_map(|((at, _), row)| row.filter(|row| holds(row, *at))));
    Ok(Found { rows, next: found.to.map(|before| Cursor { before, ..from }) })
}

async fn tagged(node: &Node, filter: &Arc<Filter>, from: Cursor, limit: usize) -> Result<Found, CallError> {
    let Some(source) = tagged::Tagged::new(node, filter) else {
        return Ok(Found { rows: Vec::new(), next: None });
    };
    let found = merge::merge(&source, from.before, limit, RECORDS_MAX).await?;
    let rows = found.rows.into_iter().map(|(_, row)| row).collect();
    Ok(Found { rows, next: found.to.map(|before| Cursor { before, ..from }) })
}
