//! Scanners: background passes that tidy, one partition at a time, and cost nothing while there is nothing to do.
//!
//! Due work is not theirs: timers do that to the millisecond.

mod audit;
mod ledgers;
mod log;
pub(crate) mod reconciler;
mod retention;
pub(crate) mod strays;
mod trims;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint_core::{Millis, PartitionId};

pub(crate) use trims::{Trims, trim_time};

use crate::clock::Clock;
use crate::node::Shared;

/// Whether something is due is looked at so often at least; that asks nothing of the store.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// What a pass over one partition came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scanned {
    /// Items dealt with.
    pub(crate) processed: usize,
    /// Items that failed; they are tried again later.
    pub(crate) errors: usize,
}

/// A background pass.
pub(crate) trait Scanner: Send + Sync {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// Whether a partition is worth a pass now.
    fn filter(&self, partition: PartitionId, now: Millis) -> bool;

    /// When a partition may be worth a pass, if nothing happens before.
    fn next(&self) -> Millis;

    /// One bounded pass; the next goes on where it ended.
    fn scan_partition(&self, partition: PartitionId, now: Millis) -> BoxFuture<'_, Scanned>;
}

/// Runs every scanner until the node ends.
pub(crate) fn start(shared: &Arc<Shared>) {
    let scanners: Vec<Box<dyn Scanner>> = vec![
        Box::new(retention::Retention::new(shared.clone())),
        Box::new(log::LogTrimmer::new(shared.clone())),
        Box::new(audit::Audit::new(shared.clone())),
        Box::new(reconciler::Reconciler::new(shared.clone())),
        Box::new(ledgers::Ledgers::new(shared.clone())),
    ];
    for scanner in scanners {
        let shared = shared.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shared.end() => {}
                () = supervise(&*scanner, &shared) => {}
            }
        });
    }
}

/// Pass after pass; sleeps while nothing is due.
async fn supervise(scanner: &dyn Scanner, shared: &Shared) {
    let every = shared.config.scan_every;
    loop {
        let scanned = run_once(scanner, &shared.clock).await;
        shared.tally.scanned(scanner.name(), scanned.processed, scanned.errors);
        tokio::time::sleep(every).await;
        loop {
            let woken = shared.trims.lowered();
            let wait = scanner.next().saturating_sub(shared.clock.now());
            if wait <= 0 {
                break;
            }
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK_EVERY);
            tokio::select! {
                biased;
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// One pass over all partitions that are worth it.
async fn run_once(scanner: &dyn Scanner, clock: &Clock) -> Scanned {
    let mut all = Scanned::default();
    for partition in PartitionId::all() {
        // While the clock is in doubt nothing is known to be over.
        if clock.in_doubt() {
            break;
        }
        let now = clock.now();
        if scanner.filter(partition, now) {
            let scanned = scanner.scan_partition(partition, now).await;
            all.processed += scanned.processed;
            all.errors += scanned.errors;
        }
    }
    if all.errors > 0 {
        tracing::warn!(
            scanner = scanner.name(),
            processed = all.processed,
            errors = all.errors,
            "items failed"
        );
    } else if all.processed > 0 {
        tracing::debug!(scanner = scanner.name(), processed = all.processed, "scanned");
    }
    all
}
