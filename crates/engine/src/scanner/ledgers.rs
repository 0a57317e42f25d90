//! Ledgers: entries of hours that are over are rolled up, hours past the retention become days, and the entries go.
//!
//! What is done is decided by the rules, one bounded command after another; only the keys of roll-ups are read here. How
//! far a ledger is stands in a record beside it, so whoever serves the partition goes on from there. The clock makes work
//! once an hour, and only where something was written or has grown old: an idle partition is asked nothing.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use stint_core::command::{FoldLedger, Outcome, RollUpLedger, SweepLedger, TrimLedger};
use stint_core::model::{HOUR_MS, day, hour};
use stint_core::{Command, Key, LedgerWork, Millis, PARTITIONS, PartitionId, Table, key};
use stint_store as store;

use super::{Scanned, Scanner};
use crate::CallError;
use crate::node::Shared;

/// Commands about one ledger and of one kind in a pass.
const COMMANDS_MAX: usize = 50;

/// Roll-ups that one command folds or drops.
const ROWS: usize = 200;

/// A partition that failed is left alone for this time, doubled with every further failure.
const BACK_OFF_MS: Millis = 60_000;

/// Doublings at most.
const BACK_OFFS_MAX: u32 = 6;

/// What is known of one partition.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Batches it had committed at the last pass.
    batches: u64,
    /// The day of the last pass.
    day: Millis,
    /// When it is worth a look again.
    next: Millis,
    /// Failures in a row.
    failures: u32,
    /// The last pass left something for the next.
    more: bool,
}

/// See the module.
pub(super) struct Ledgers {
    shared: Arc<Shared>,
    known: Mutex<Vec<Known>>,
}

/// Why a ledger could not be dealt with.
#[derive(Debug, thiserror::Error)]
enum LedgerError {
    /// The partition did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Roll-ups can't be read.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// What was done with one ledger.
#[derive(Default)]
struct Done {
    processed: u64,
    more: bool,
}

impl Ledgers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        // Nothing is urgent: whoever has just started has others to look after.
        let next = hour(shared.clock.now()).saturating_add(HOUR_MS);
        let known = vec![Known { next, ..Known::default() }; usize::from(PARTITIONS)];
        Self { shared, known: Mutex::new(known) }
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

    async fn scan(&self, partition: PartitionId, now: Millis) -> Scanned {
        let mut known = self.get(partition);
        let batches = self.shared.trims.batches(partition);
        let mut scanned = Scanned::default();
        let mut more = false;
        match self.shared.look(partition, move |partition| partition.ledger_work(now)).await {
            Ok(work) => {
                for work in work {
                    match self.deal_with(partition, &work).await {
                        Ok(done) => {
                            scanned.processed += usize::try_from(done.processed).unwrap_or(usize::MAX);
                            more |= done.more;
                        }
                        Err(error) => {
                            let LedgerWork { namespace, tree, .. } = work;
                            tracing::warn!(partition = partition.0, namespace, tree, %error, "a ledger can't be rolled up");
                            scanned.errors += 1;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::debug!(partition = partition.0, %error, "ledgers can't be looked at");
                scanned.errors += 1;
            }
        }
        known.failures = if scanned.errors > 0 { known.failures.saturating_add(1) } else { 0 };
        known.next = match known.failures {
            0 if more => now,
            0 => hour(now).saturating_add(HOUR_MS),
            failures => now.saturating_add(BACK_OFF_MS << (failures - 1).min(BACK_OFFS_MAX)),
        };
        known.more = more || scanned.errors > 0;
        (known.batches, known.day) = (batches, day(now));
        self.set(partition, known);
        scanned
    }

    /// Rolls up, folds, sweeps and trims one ledger, as far as one pass goes.
    async fn deal_with(&self, partition: PartitionId, work: &LedgerWork) -> Result<Done, LedgerError> {
        let (namespace, tree) = (&work.namespace, &work.tree);
        let mut done = Done::default();
        if work.rolls {
            let roll_up = RollUpLedger { namespace: namespace.clone(), tree: tree.clone() };
            self.repeat(partition, &Command::RollUpLedger(roll_up), &mut done).await?;
        }
        if let Some((from, to)) = &work.folds {
            let mut from = from.clone();
            for n in 0.. {
                if n == COMMANDS_MAX {
                    done.more = true;
                    break;
                }
                let (rows, end) = self.roll_ups(partition, work, &from, *to).await?;
                let last = rows.last().cloned();
                let (namespace, tree) = (namespace.clone(), tree.clone());
                let fold = FoldLedger { namespace, tree, rows, to: *to, end };
                done.processed += self.run(partition, Command::FoldLedger(fold)).await?.0;
                match last.filter(|_| !end) {
                    Some(last) => from = behind(&last),
                    None => {
                        // What was folded may be swept, and then trimmed.
                        done.more = true;
                        break;
                    }
                }
            }
        }
        if let Some(to) = work.sweeps {
            let from = key::hour_roll_ups(namespace, tree, 0);
            for n in 0.. {
                if n == COMMANDS_MAX {
                    done.more = true;
                    break;
                }
                let (rows, end) = self.roll_ups(partition, work, &from, to).await?;
                let (namespace, tree) = (namespace.clone(), tree.clone());
                let sweep = SweepLedger { namespace, tree, rows, to, end };
                done.processed += self.run(partition, Command::SweepLedger(sweep)).await?.0;
                if end {
                    break;
                }
            }
        }
        if work.trims {
            let trim = TrimLedger { namespace: namespace.clone(), tree: tree.clone() };
            self.repeat(partition, &Command::TrimLedger(trim), &mut done).await?;
        }
        Ok(done)
    }

    /// Runs a command until there is nothing left for it, or enough was done for one pass.
    async fn repeat(
        &self,
        partition: PartitionId,
        command: &Command,
        done: &mut Done,
    ) -> Result<(), LedgerError> {
        for _ in 0..COMMANDS_MAX {
            let (processed, more) = self.run(partition, command.clone()).await?;
            done.processed += processed;
            if !more {
                return Ok(());
            }
        }
        done.more = true;
        Ok(())
    }

    async fn run(&self, partition: PartitionId, command: Command) -> Result<(u64, bool), LedgerError> {
        match self.shared.call(partition, command).await? {
            Outcome::LedgerDone { processed, more } => Ok((processed, more)),
            _ => Err(CallError::Internal.into()),
        }
    }

    /// The keys of the next roll-ups of hours before a day, and whether those are all.
    async fn roll_ups(
        &self,
        partition: PartitionId,
        work: &LedgerWork,
        from: &Key,
        to: Millis,
    ) -> Result<(Vec<Key>, bool), LedgerError> {
        let to = key::hour_roll_ups(&work.namespace, &work.tree, to);
        let range = store::Range { from: from.bytes.clone(), to: to.bytes, reverse: false, limit: ROWS };
        let page = self.shared.store.range(store::PartitionId(partition.0), range).await?;
        let rows = page.rows.into_iter().map(|(bytes, _)| Key { table: Table::Ordered, bytes });
        Ok((rows.collect(), page.cursor.is_none()))
    }
}

/// The first key behind another.
fn behind(key: &Key) -> Key {
    let bytes = [&key.bytes[..], &[0]].concat();
    Key { table: key.table, bytes: bytes.into() }
}

impl Scanner for Ledgers {
    fn name(&self) -> &'static str {
        "ledgers"
    }

    fn filter(&self, partition: PartitionId, now: Millis) -> bool {
        let mut known = self.get(partition);
        if now < known.next {
            return false;
        }
        let batches = self.shared.trims.batches(partition);
        let is_due = known.more || known.batches != batches || known.day != day(now);
        if !is_due {
            known.next = hour(now).saturating_add(HOUR_MS);
            self.set(partition, known);
        }
        is_due
    }

    fn next(&self) -> Millis {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|known| known.next).min().unwrap_or(Millis::MAX)
    }

    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned> {
        Box::pin(self.scan(partition, now))
    }
}
