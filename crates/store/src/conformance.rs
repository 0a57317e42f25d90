//! What every backend must do, as named cases that run against any of them.
//!
//! A backend's own test implements [`Harness`] and calls [`run`]; nothing about a behaviour stands in a backend's
//! test that could stand here. [`script`] adds random histories compared with a model of a few lines.
//!
//! **Never here:** sleeping, a backend's name, a guess about time.

mod commits;
mod reads;
mod scans;
pub mod script;
mod sizes;
mod writer;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::contract::{
    Batch, Changes, Committed, Head, NodeId, Page, PartitionId, Range, Store, StoreError, Table, Write,
};

/// Gives each case a store of its own.
pub trait Harness: Send + Sync {
    /// Opens a store without any data.
    fn fresh(&self) -> BoxFuture<'_, Box<dyn Fixture>>;
}

/// An open store under test.
pub trait Fixture: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// A second, independent handle to the same data, as another node would have; `None` where only one
    /// process can open the store.
    fn peer(&self) -> Option<Arc<dyn Store>>;

    /// Closes the store and opens its data again; `false` where data do not outlive the store.
    fn reopen(&mut self) -> BoxFuture<'_, bool>;
}

/// Why a case failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{case}: {reason}")]
pub struct Failure {
    /// Name of the case.
    pub case: &'static str,
    /// What was expected and what was seen.
    pub reason: String,
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it shows, as a name.
    pub name: &'static str,
    run: for<'a> fn(&'a mut dyn Fixture) -> BoxFuture<'a, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs this case on a fresh store.
    pub async fn run(&self, harness: &dyn Harness) -> Result<(), Failure> {
        let mut fixture = harness.fresh().await;
        let outcome = (self.run)(fixture.as_mut()).await;
        let closed = fixture.store().close().await;
        outcome
            .and_then(|()| closed.map_err(Reason::from))
            .map_err(|Reason(reason)| Failure { case: self.name, reason })
    }
}

/// Lists functions as cases named like them.
macro_rules! cases {
    ($($module:ident::$case:ident),* $(,)?) => {
        &[$(Case { name: stringify!($case), run: |fixture| Box::pin($module::$case(fixture)) }),*]
    };
}

/// Every case.
pub const CASES: &[Case] = cases![
    commits::heads_move_once_per_commit,
    commits::every_field_of_a_head_is_kept,
    commits::a_stale_head_conflicts_and_changes_nothing,
    commits::every_field_of_the_expected_head_counts,
    commits::a_batch_applies_to_all_tables_or_none,
    commits::the_same_batch_again_is_yes,
    commits::the_same_batch_again_is_yes_below_later_commits_of_others,
    commits::an_old_batch_arriving_late_never_applies_twice,
    commits::a_lost_batch_never_applies_after_a_conflict,
    commits::another_incarnation_is_not_confused,
    commits::another_nonce_is_not_confused,
    commits::absent_keys_that_exist_refuse_the_batch,
    commits::absent_keys_that_are_absent_do_nothing,
    commits::absent_is_checked_after_the_head,
    commits::absent_sees_a_commit_under_way,
    commits::deleting_an_absent_key_is_fine,
    commits::put_and_delete_many_times,
    commits::an_empty_batch_moves_the_head,
    commits::an_empty_partition_may_begin_at_any_version,
    commits::partitions_are_independent,
    commits::tables_do_not_meet,
    commits::racing_commits_of_two_nodes_apply_one_each_time,
    commits::a_batch_that_breaks_the_contract_is_refused,
    commits::counters_count,
    commits::reopening_keeps_everything,
    commits::a_closed_store_answers_unavailable,
    reads::an_empty_partition_reads_empty,
    reads::get_answers_in_the_order_asked,
    reads::get_is_atomic_at_a_head,
    reads::load_gives_all_live_records,
    reads::load_under_a_writer_catches_up,
    scans::scan_gives_all_cold_records,
    scans::scan_under_a_writer_misses_nothing_that_stays,
    scans::scan_of_values_large_and_small,
    reads::changes_since_a_head,
    reads::changes_since_an_unknown_head_are_too_old,
    reads::range_bounds_order_and_limits,
    reads::range_cursors_meet_without_gap_or_repeat,
    reads::range_by_prefix_of_any_bytes,
    reads::clock_and_identity_answer,
    sizes::values_may_be_empty,
    sizes::all_bytes_in_keys_and_values,
    sizes::longest_keys,
    sizes::largest_values,
    sizes::large_batches,
    sizes::many_large_values_in_one_page,
];

/// Runs every case and stops at the first that fails.
pub async fn run(harness: &dyn Harness) -> Result<(), Failure> {
    for case in CASES {
        case.run(harness).await?;
    }
    Ok(())
}

type Outcome = Result<(), Reason>;

/// What a case has to say when it fails.
struct Reason(String);

impl From<StoreError> for Reason {
    fn from(error: StoreError) -> Self {
        Self(format!("a call failed: {error}"))
    }
}

/// Fails with `what` unless `holds`.
fn check(holds: bool, what: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(Reason(what.to_string())) }
}

/// Fails unless both are equal.
fn same<T: PartialEq + fmt::Debug>(seen: &T, wanted: &T, what: impl fmt::Display) -> Outcome {
    if seen == wanted {
        return Ok(());
    }
    let short = |value: &T| {
        let mut text = format!("{value:?}");
        if text.len() > 600 {
            text = text.chars().take(600).chain("...".chars()).collect();
        }
        text
    };
    Err(Reason(format!("{what}: saw {}, wanted {}", short(seen), short(wanted))))
}

const P: PartitionId = PartitionId(7);
const NODE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// A put.
fn put(table: Table, key: &str, value: &str) -> Write {
    Write {
        table,
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

/// A delete.
fn del(table: Table, key: &str) -> Write {
    Write { table, key: Bytes::copy_from_slice(key.as_bytes()), value: None }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The batch that `node` would send after `expected`. Its nonce is derived, so that cases are the same each time.
fn batch(node: NodeId, expected: Head, writes: Vec<Write>) -> Arc<Batch> {
    let version = expected.version + 1;
    Arc::new(Batch {
        next: Head {
            timeline: expected.timeline,
            version,
            nonce: (node.0 << 48) | (version << 8) | 1,
            committer: node,
            now_ms: expected.now_ms + 5,
            level: 1,
        },
        incarnation: 100 + node.0,
        writes,
        absent: Vec::new(),
    })
}

/// Commits what must be committed and answers the new head.
async fn commit(
    store: &dyn Store,
    partition: PartitionId,
    expected: Head,
    batch: &Arc<Batch>,
) -> Result<Head, Reason> {
    match store.commit(partition, expected, batch.clone()).await? {
        Committed::Yes(head) => {
            same(&head, &batch.next, "the head answered by a commit")?;
            Ok(head)
        }
        other => Err(Reason(format!("a commit was answered {other:?}, wanted Yes"))),
    }
}

/// Commits writes of [`NODE`] to [`P`].
async fn write(store: &dyn Store, expected: Head, writes: Vec<Write>) -> Result<Head, Reason> {
    commit(store, P, expected, &batch(NODE, expected, writes)).await
}

/// One value and the head it was read at.
async fn read(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    key: &str,
) -> Result<(Option<Bytes>, Head), Reason> {
    let mut answer = store.get(partition, vec![(table, bytes(key))]).await?;
    check(answer.values.len() == 1, "get answers as many values as keys were asked")?;
    Ok((answer.values.pop().flatten(), answer.head))
}

/// The head, read by a get without keys.
async fn head(store: &dyn Store, partition: PartitionId) -> Result<Head, Reason> {
    Ok(store.get(partition, Vec::new()).await?.head)
}

/// All pages of a range.
async fn range_all(
    store: &dyn Store,
    partition: PartitionId,
    mut range: Range,
) -> Result<Vec<(Bytes, Bytes)>, Reason> {
    let mut rows = Vec::new();
    loop {
        let page: Page = store.range(partition, range.clone()).await?;
        check(page.rows.len() <= range.limit, "a page has at most as many rows as asked")?;
        let last = page.rows.last().map(|(key, _)| key.clone());
        rows.extend(page.rows);
        let Some(cursor) = page.cursor else { return Ok(rows) };
        // Whatever a cursor says, it must neither repeat a row nor go back, or a reader never ends.
        let forward = if range.reverse { cursor <= range.to } else { cursor >= range.from };
        let beyond = last.is_none_or(|last| if range.reverse { cursor <= last } else { cursor > last });
        check(forward && beyond, format!("the cursor {cursor:?} of {range:?} does not go on"))?;
        match range.reverse {
            true => range.to = cursor,
            false => range.from = cursor,
        }
    }
}

/// All pages of a load, a repeated key once, with the head of the first page.
async fn load_all(
    store: &dyn Store,
    partition: PartitionId,
) -> Result<(std::collections::BTreeMap<Bytes, Bytes>, Head), Reason> {
    let mut records = std::collections::BTreeMap::new();
    let (mut cursor, mut first) = (None, None);
    loop {
        let page = store.load(partition, cursor).await?;
        first.get_or_insert(page.head);
        records.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok((records, first.unwrap_or_default()));
        }
    }
}

/// All live records as a loader gets them, at one head, while others may write: load, then changes until there
/// are none.
async fn load_caught_up(
    store: &dyn Store,
    partition: PartitionId,
) -> Result<(std::collections::BTreeMap<Bytes, Bytes>, Head), Reason> {
    'again: loop {
        let (mut records, mut at) = load_all(store, partition).await?;
        loop {
            match store.changes(partition, at).await? {
                Changes::TooOld => continue 'again,
                Changes::Since { head, .. } if head == at => return Ok((records, at)),
                Changes::Since { rows, head } => {
                    for (key, value) in rows {
                        match value {
                            Some(value) => records.insert(key, value),
                            None => records.remove(&key),
                        };
                    }
                    at = head;
                }
            }
        }
    }
}
