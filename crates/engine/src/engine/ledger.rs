//! The ledger: read from the store, without holding up who spends.

use std::collections::BTreeSet;

use stint_api::{
    Code, DEFAULT_NAMESPACE, Instant, LedgerEntry, LedgerReply, LedgerRequest, Problem, ReconcileReply,
    ReconcileRequest,
};
use stint_core::command::{CheckUses, Unverified, budget_home};
use stint_core::model::{Entry, is_under, tree};
use stint_core::{Command, Key, key};
use stint_store as store;

use super::budgets::check_budget;
use super::{Engine, Inner};
use crate::CallError;
use crate::edge;
use crate::edge::charge::{drift, stray};
use crate::edge::page::{self, bad_cursor};
use crate::edge::problem::{execution_id, problem};
use crate::find::tags_of;
use crate::scanner::reconciler::{self, ReconcileError, Reconciled};
use crate::scanner::strays;

/// Entries of one read.
const ROWS: usize = 1_000;

/// Entries that one page looks at, however few of them are wanted.
const LOOKED_AT: usize = 20_000;

/// Where a walk through a ledger is.
pub(super) struct Walk {
    partition: store::PartitionId,
    range: store::Range,
    done: bool,
}

impl Engine {
    /// Entries of a budget and of all below it, from behind a cursor on; of one that was deleted too.
    pub async fn ledger(
        &self,
        namespace: &str,
        path: &str,
        request: LedgerRequest,
    ) -> Result<LedgerReply, Problem> {
        let limit = page::limit(request.limit)?;
        let wanted = Wanted::of(path, &request)?;
        let cursor = request.cursor.as_deref().map(|text| text.parse::<u64>().map_err(|_| bad_cursor()));
        let cursor = cursor.transpose()?;
        let mark = self.0.mark(namespace, path).await?;
        let kept_since = (mark.trimmed > 0).then(|| Instant::from_millis(mark.folded));
        let mut walk = self.0.walk(namespace, path, cursor, request.newest_first).await?;
        let (mut entries, mut looked_at, mut last) = (Vec::new(), 0, None);
        let mut is_known = request.cursor.is_some();
        while let Some(rows) = self.0.next(&mut walk).await? {
            for (seq, entry) in rows {
                if entries.len() == limit || looked_at == LOOKED_AT {
                    let next_cursor = last.map(|seq: u64| seq.to_string());
                    return Ok(LedgerReply {
                        entries: self.0.tagged(entries).await?,
                        next_cursor,
                        kept_since,
                    });
                }
                (last, looked_at) = (Some(seq), looked_at + 1);
                is_known |= is_under(&entry.path, path);
                if wanted.wants(&entry) {
                    entries.push((seq, entry));
                }
            }
        }
        if !is_known {
            // Nothing was ever booked there: a budget that is new has an empty ledger, one that never was has none.
            self.budgets(namespace, path.into(), Some(1), None).await?;
        }
        Ok(LedgerReply { entries: self.0.tagged(entries).await?, next_cursor: None, kept_since })
    }

    /// Counts a tree's ledger again, asks whether what it holds for executions is still wanted, and corrects what differs, or
    /// only says it.
    pub async fn reconcile(&self, path: &str, request: ReconcileRequest) -> Result<ReconcileReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let only = (tree(path) != path).then(|| path.to_owned());
        // One that is not there is not found, rather than right; a tree is there with any budget of it.
        if let Err(problem) = self.budget(&namespace, path).await {
            let is_there = only.is_none()
                && problem.code == Code::BudgetNotFound
                && self.budgets(&namespace, Some(path), Some(1), None).await.is_ok();
            if !is_there {
                return Err(problem);
            }
        }
        let tree = tree(path).to_owned();
        let shared = self.0.node.shared();
        let unverified = Unverified {
            namespace: namespace.clone(),
            tree: tree.clone(),
            only,
            full: true,
            ..Unverified::default()
        };
        let counted = reconciler::reconcile(shared, unverified, request.dry_run).await;
        let Reconciled { counted, drifts, remade, .. } = counted.map_err(|error| match error {
            ReconcileError::Call(error) => problem(error),
            ReconcileError::Store(error) => problem(CallError::Store(error.to_string())),
            unreadable @ (ReconcileError::Entry { .. } | ReconcileError::Carried(_)) => {
                Problem::new(Code::Internal, unreadable.to_string())
            }
        })?;
        let (asked_after, mut strays) = strays::find(shared, &namespace, path).await.map_err(problem)?;
        if !strays.is_empty() && !request.dry_run {
            strays::drop_all(shared, &namespace, &tree, &mut strays).await.map_err(problem)?;
        }
        Ok(ReconcileReply {
            counted: counted as u64,
            drifts: drifts.into_iter().map(drift).collect(),
            asked_after: asked_after as u64,
            strays: strays.into_iter().map(stray).collect(),
            remade: remade.into_iter().collect(),
            dry_run: request.dry_run,
        })
    }
}

/// Which entries are wanted.
pub(super) struct Wanted {
    path: String,
    request: LedgerRequest,
    execution: Option<stint_core::ExecutionId>,
}

impl Wanted {
    fn of(path: &str, request: &LedgerRequest) -> Result<Self, Problem> {
        let execution = request.execution.as_deref().map(execution_id).transpose();
        let execution = execution.map_err(|problem| problem.at("execution"))?;
        Ok(Self { path: path.to_owned(), request: request.clone(), execution })
    }

    fn wants(&self, entry: &Entry) -> bool {
        let Self { path, request, execution } = self;
        is_under(&entry.path, path)
            && (request.kinds.is_empty() || request.kinds.contains(&edge::ledger::kind(entry.kind)))
            && execution.is_none_or(|id| entry.execution == Some(id))
            && request.model.as_ref().is_none_or(|model| entry.model.as_ref() == Some(model))
            && request.since.is_none_or(|since| entry.at >= since.millis())
            && request.until.is_none_or(|until| entry.at < until.millis())
    }
}

impl Inner {
    /// Begins to read the ledger of a path's tree, behind an entry or from its end on.
    pub(super) async fn walk(
        &self,
        namespace: &str,
        path: &str,
        behind: Option<u64>,
        newest_first: bool,
    ) -> Result<Walk, Problem> {
        check_budget(namespace, path)?;
        let home = budget_home(namespace, path);
        // Its answer leaves when all that it saw is committed, so the range sees all that was answered before.
        let nothing = CheckUses { namespace: namespace.to_owned(), uses: Vec::new() };
        self.call(home, Command::CheckUses(nothing)).await?;
        let (from, to) = match behind {
            None => (0, None),
            Some(seq) if newest_first => (0, seq.checked_sub(1)),
            Some(seq) => (seq, None),
        };
        Ok(self.walk_between(namespace, path, from, to, newest_first))
    }

    /// Begins to read the entries behind one and up to another, or to the end.
    pub(super) fn walk_between(
        &self,
        namespace: &str,
        path: &str,
        behind: u64,
        upto: Option<u64>,
        newest_first: bool,
    ) -> Walk {
        let (home, tree) = (budget_home(namespace, path), tree(path));
        let from = key::entry(namespace, tree, behind.saturating_add(1)).bytes;
        let to = match upto {
            Some(seq) => key::entry(namespace, tree, seq.saturating_add(1)),
            None => end(&key::ledger(namespace, tree)),
        };
        let range = store::Range { from, to: to.bytes, reverse: newest_first, limit: ROWS };
        Walk { partition: store::PartitionId(home.0), range, done: false }
    }

    /// Entries as the API shows them, with the tags of their executions, as far as those are kept.
    async fn tagged(&self, entries: Vec<(u64, Entry)>) -> Result<Vec<LedgerEntry>, Problem> {
        let ids: BTreeSet<_> = entries.iter().filter_map(|(_, entry)| entry.execution).collect();
        let tags = tags_of(&self.node, &ids).await.map_err(problem)?;
        let none = Vec::new();
        let shown = entries.into_iter().map(|(seq, entry)| {
            let tags = entry.execution.and_then(|id| tags.get(&id)).unwrap_or(&none);
            edge::ledger::entry(seq, entry, tags)
        });
        Ok(shown.collect())
    }

    /// The next entries; none at the end.
    pub(super) async fn next(&self, walk: &mut Walk) -> Result<Option<Vec<(u64, Entry)>>, Problem> {
        if walk.done {
            return Ok(None);
        }
        tokio::task::yield_now().await;
        let page = self.node.shared().store.range(walk.partition, walk.range.clone()).await;
        let page = page.map_err(|error| problem(CallError::Store(error.to_string())))?;
        match page.cursor {
            Some(cursor) if walk.range.reverse => walk.range.to = cursor,
            Some(cursor) => walk.range.from = cursor,
            None => walk.done = true,
        }
        let read = page.rows.iter().map(|(row, value)| {
            let seq = key::read_entry(row).unwrap_or_default();
            let entry = minicbor::decode::<Entry>(value).map_err(|error| {
                tracing::error!(seq, %error, "an entry of the ledger can't be read");
                Problem::new(Code::Internal, format!("entry {seq} of the ledger can't be read"))
            })?;
            Ok((seq, entry))
        });
        read.collect::<Result<Vec<_>, Problem>>().map(Some)
    }
}

/// The first key behind all entries.
fn end(all: &Key) -> Key {
    super::act::after(all)
}
