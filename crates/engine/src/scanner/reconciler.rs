//! Budgets against their ledger: sums, latches, and whether the attempts that hold money are still there.
//!
//! Counters and the ledger's position are read together, the entries up to there summed outside the actor, and the difference is
//! applied to what the counters are by then. What was confirmed once is where the next pass begins; a partition that has
//! written nothing is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use stint_core::command::{Drift, Outcome, Reconcile, Recount, Unverified, Verify};
use stint_core::model::Entry;
use stint_core::{Command, Millis, PARTITIONS, PartitionId, key};
use stint_store as store;

use super::{Scanned, Scanner};
use crate::CallError;
use crate::node::Shared;

/// A partition that has written is looked at after this time.
const EVERY_MS: Millis = 30_000;

/// A tree that failed is left alone for this time, doubled with every further failure.
const BACK_OFF_MS: Millis = 60_000;

/// Doublings at most.
const BACK_OFFS_MAX: u32 = 6;

/// Entries of one read.
const ROWS: usize = 1_000;

/// A ledger that is trimmed while it is counted is counted again so often.
const COUNTED_MAX: usize = 10;

/// What is known of one partition.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Batches it had committed at the last pass; none before the first and while a tree waits for another try, which are due
    /// whatever was written.
    batches: Option<u64>,
    /// When that was.
    at: Millis,
}

/// What is known of one tree.
#[derive(Clone, Copy, Default)]
struct KnownTree {
    /// The last entry of its ledger that was compared by this node; without it every budget of the tree is counted that has
    /// seen entries since, whether they were about it or not.
    compared: Option<u64>,
    /// Failures in a row, and until when it is left alone.
    failures: u32,
    until: Millis,
}

/// By namespace and tree.
type Trees = BTreeMap<(String, String), KnownTree>;

/// See the module.
pub(super) struct Reconciler {
    shared: Arc<Shared>,
    known: Mutex<Vec<Known>>,
    trees: Mutex<BTreeMap<PartitionId, Trees>>,
}

/// Why a tree could not be counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The partition did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The ledger can't be read.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// An entry makes no sense. What can't be read is never taken for absent.
    #[error("entry {seq} of the ledger can't be read: {reason}")]
    Entry {
        /// Its number.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// What a level carries on from trimmed entries makes no sense.
    #[error("the sums of trimmed entries can't be read: {0}")]
    Carried(String),
}

/// What came of a tree.
#[derive(Default)]
pub(crate) struct Reconciled {
    /// Budgets that were counted.
    pub(crate) counted: usize,
    /// What differed.
    pub(crate) drifts: Vec<Drift>,
    /// Budgets whose counters were missing, or not theirs.
    pub(crate) remade: BTreeSet<String>,
    /// The ledger is compared up to here.
    upto: u64,
}

/// Counts a tree's ledger, or one of its budgets', and corrects what differs unless it is only to be said.
pub(crate) async fn reconcile(
    shared: &Shared,
    unverified: Unverified,
    dry_run: bool,
) -> Result<Reconciled, ReconcileError> {
    let mut reconciled = Reconciled::default();
    let further = count_until_done(shared, &unverified, dry_run, &mut reconciled).await?;
    let upto = reconciled.upto;
    for path in further {
        let only = Unverified { only: Some(path), compared: None, ..unverified.clone() };
        count_until_done(shared, &only, dry_run, &mut reconciled).await?;
    }
    Ok(Reconciled { upto, ..reconciled })
}

/// Counts, again if the ledger is trimmed or loses entries meanwhile, and says which budgets have to be counted by themselves.
async fn count_until_done(
    shared: &Shared,
    unverified: &Unverified,
    dry_run: bool,
    reconciled: &mut Reconciled,
) -> Result<BTreeSet<String>, ReconcileError> {
    for _ in 0..COUNTED_MAX {
        if let Some(further) = count(shared, unverified, dry_run, reconciled).await? {
            return Ok(further);
        }
    }
    Err(CallError::Overloaded.into())
}

/// The same, once; none if the ledger was trimmed meanwhile.
async fn count(
    shared: &Shared,
    unverified: &Unverified,
    dry_run: bool,
    reconciled: &mut Reconciled,
) -> Result<Option<BTreeSet<String>>, ReconcileError> {
    let Unverified { namespace, tree, .. } = unverified;
    let partition = stint_core::command::budget_home(namespace, tree);
    let of = store::PartitionId(partition.0);
    let mut recount = read(shared, partition, unverified.clone()).await?;
    reconciled.upto = recount.upto;
    while let Some(after) = recount.next.take() {
        recount.join(read(shared, partition, Unverified { after: Some(after), ..unverified.clone() }).await?);
    }
    // Counters that are made anew are counted next.
    let mut further: BTreeSet<String> = std::mem::take(&mut recount.unfit).into_iter().collect();
    reconciled.remade.extend(further.iter().cloned());
    if dry_run {
        further.clear();
    } else if !further.is_empty() {
        let (namespace, tree, unfit) = (namespace.clone(), tree.clone(), further.iter().cloned().collect());
        let reconcile = Reconcile { namespace, tree, asks: false, unfit };
        shared.call(partition, Command::Reconcile(reconcile)).await?;
    }
    if recount.is_empty() {
        return Ok(Some(further));
    }
    if recount.carries {
        let all = key::all_carried(namespace, tree);
        let mut range = store::Range::prefix(&all.bytes, ROWS);
        loop {
            let page = shared.store.range(of, range.clone()).await?;
            for (row, value) in page.rows {
                let carried = minicbor::decode(&value).map_err(|e| ReconcileError::Carried(e.to_string()))?;
                recount.carry(key::read_carried(&row).unwrap_or_default(), &carried);
            }
            match page.cursor {
                Some(cursor) => range.from = cursor,
                None => break,
            }
        }
    }
    let from = key::entry(namespace, tree, recount.from.saturating_add(1)).bytes;
    let to = key::entry(namespace, tree, recount.upto.saturating_add(1)).bytes;
    let mut range = store::Range { from, to, reverse: false, limit: ROWS };
    loop {
        let page = shared.store.range(of, range.clone()).await?;
        for (row, value) in page.rows {
            let seq = key::read_entry(&row).unwrap_or_default();
            let entry: Entry = minicbor::decode(&value)
                .map_err(|error| ReconcileError::Entry { seq, reason: error.to_string() })?;
            recount.add(seq, &entry);
        }
        match page.cursor {
            Some(cursor) => range.from = cursor,
            None => break,
        }
        // Others have a turn before the next page.
        tokio::task::yield_now().await;
    }
    let counted = recount.len();
    further.append(&mut recount.strangers);
    let said = reconciled.drifts.len();
    for recount in recount.parts() {
        match shared.call(partition, Command::Verify(Verify { recount, dry_run })).await? {
            Outcome::Reconciled(drifts) => reconciled.drifts.extend(drifts),
            Outcome::LedgerMoved => {
                if dry_run {
                    // What was not corrected is found again.
                    reconciled.drifts.truncate(said);
                }
                return Ok(None);
            }
            _ => return Err(CallError::Internal.into()),
        }
    }
    reconciled.counted += counted;
    Ok(Some(further))
}

async fn read(
    shared: &Shared,
    partition: PartitionId,
    unverified: Unverified,
) -> Result<Recount, ReconcileError> {
    match shared.call(partition, Command::Unverified(unverified)).await? {
        Outcome::Unverified(recount) => Ok(*recount),
        _ => Err(CallError::Internal.into()),
    }
}

impl Reconciler {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let known = vec![Known { at: shared.clock.now(), batches: None }; usize::from(PARTITIONS)];
        Self { shared, known: Mutex::new(known), trees: Mutex::default() }
    }

    fn get(&self, partition: PartitionId) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    fn set(&self, partition: PartitionId, value: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(usize::from(partition.0)) {
            *known = value;
        }
    }

    fn trees(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Trees>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn scan(&self, partition: PartitionId, now: Millis) -> Scanned {
        let batches = self.shared.trims.batches(partition);
        let mut scanned = Scanned::default();
        let trees = match self.shared.look(partition, |partition| partition.trees()).await {
            Ok(trees) => trees,
            Err(error) => {
                tracing::debug!(partition = partition.0, %error, "budgets can't be looked at");
                self.set(partition, Known { batches: None, at: now });
                return Scanned { processed: 0, errors: 1 };
            }
        };
        let before = self.trees().get(&partition).cloned().unwrap_or_default();
        // Trees that are gone are forgotten.
        let mut after = Trees::new();
        for (namespace, tree) in trees {
            let name = (namespace, tree);
            let known = before.get(&name).copied().unwrap_or_default();
            let known =
                if now < known.until { known } else { self.check(&name, known, now, &mut scanned).await };
            after.insert(name, known);
        }
        let is_waiting = after.values().any(|tree| tree.failures > 0);
        self.trees().insert(partition, after);
        self.set(partition, Known { batches: (!is_waiting).then_some(batches), at: now });
        scanned
    }

    /// Counts a tree, and lets it ask whether what it holds is still wanted.
    async fn check(
        &self,
        name: &(String, String),
        known: KnownTree,
        now: Millis,
        scanned: &mut Scanned,
    ) -> KnownTree {
        let (namespace, tree) = name.clone();
        let unverified = Unverified {
            namespace: namespace.clone(),
            tree: tree.clone(),
            compared: known.compared,
            ..Unverified::default()
        };
        let reconciled = match reconcile(&self.shared, unverified, false).await {
            Ok(reconciled) => reconciled,
            Err(error) => {
                tracing::warn!(namespace, tree, %error, "a tree of budgets can't be counted");
                scanned.errors += 1;
                // What failed is not taken for compared.
                return KnownTree {
                    compared: None,
                    failures: known.failures.saturating_add(1),
                    until: now.saturating_add(BACK_OFF_MS << known.failures.min(BACK_OFFS_MAX)),
                };
            }
        };
        let Reconciled { counted, drifts, remade, upto } = reconciled;
        scanned.processed += counted;
        for path in remade {
            tracing::error!(namespace, path, "the counters of a budget were not its own, and were made anew");
        }
        for Drift { path, window, period, of, counted, ledger } in drifts {
            tracing::error!(
                namespace,
                path,
                window,
                period,
                ?of,
                ?counted,
                ?ledger,
                "a budget's counter was not its ledger's, and was corrected"
            );
        }
        let home = stint_core::command::budget_home(&namespace, &tree);
        let ask = Reconcile { namespace, tree, asks: true, unfit: Vec::new() };
        self.shared.send(home, crate::partition::Message::Post(Command::Reconcile(ask)));
        KnownTree { compared: Some(upto), failures: 0, until: 0 }
    }
}

impl Scanner for Reconciler {
    fn name(&self) -> &'static str {
        "budgets"
    }

    fn filter(&self, partition: PartitionId, now: Millis) -> bool {
        let mut known = self.get(partition);
        if now - known.at < EVERY_MS {
            return false;
        }
        let batches = self.shared.trims.batches(partition);
        let is_new = known.batches != Some(batches);
        if !is_new {
            // Looked at: the next time is as far away as after a pass.
            known.at = now;
            self.set(partition, known);
        }
        is_new
    }

    fn next(&self) -> Millis {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let next = known.iter().map(|known| known.at.saturating_add(EVERY_MS));
        next.min().unwrap_or(Millis::MAX)
    }

    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned> {
        Box::pin(self.scan(partition, now))
    }
}
