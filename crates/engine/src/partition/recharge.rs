//! A partition with trees of budgets may have lost charges that it had acknowledged. What was charged here lately is told again:
//! each charge has an id, so that what it still knows counts once.

use std::collections::BTreeSet;
use std::time::Duration;

use stint_core::command::Recharge;
use stint_core::event::{EventKind, decode_log};
use stint_core::model::LeaseChargeRecord;
use stint_core::{Command, ExecutionId, Millis, PartitionId, key};
use stint_store as store;

use super::job::{Job, To};
use super::{Actor, Errand};

/// How far back charges are told again: a store that lost more than this lost more than a fail-over does.
const LATELY_MS: Millis = 15 * 60 * 1_000;

/// Chains mostly begin anew together: one look at the log is for all.
const OTHERS: Duration = Duration::from_millis(200);

/// Rows of one read.
const ROWS: usize = 500;

impl Actor {
    /// Tells the peer again, beside the batches; what can't be read is left to the peer's own reconciler.
    pub(super) fn recharge(&mut self, peer: PartitionId) {
        let first = self.recharged.is_empty();
        self.recharged.insert(peer);
        if !first {
            return;
        }
        let (store, here) = (self.shared.store.clone(), store::PartitionId(self.id.0));
        let since = self.now.saturating_sub(LATELY_MS);
        self.errands.push(Box::pin(async move {
            tokio::time::sleep(OTHERS).await;
            let charged = lately(&*store, here, since).await.unwrap_or_else(|error| {
                tracing::error!(partition = here.0, %error, "charges can't be told again");
                Vec::new()
            });
            Errand::Charged(charged)
        }));
    }

    /// What was charged lately is read: all peers are told at once.
    pub(super) fn tell_charges(&mut self, charged: Vec<(ExecutionId, Vec<LeaseChargeRecord>)>) {
        let peers: Vec<PartitionId> = std::mem::take(&mut self.recharged).into_iter().collect();
        for (execution, charges) in charged {
            let recharge = Recharge { peers: peers.clone(), execution, charges };
            self.accept(Job::run(Command::Recharge(recharge), To::Nobody));
        }
    }
}

async fn lately(
    store: &dyn store::Store,
    here: store::PartitionId,
    since: Millis,
) -> Result<Vec<(ExecutionId, Vec<LeaseChargeRecord>)>, store::StoreError> {
    let mut lately = Vec::new();
    for execution in charged(store, here, since).await? {
        let mut charges = Vec::new();
        let mut range = store::Range::prefix(&key::lease_charges(execution).bytes, ROWS);
        loop {
            let page = store.range(here, range.clone()).await?;
            let records =
                page.rows.iter().filter_map(|(_, row)| minicbor::decode::<LeaseChargeRecord>(row).ok());
            charges.extend(records.filter(|record| record.at >= since));
            match page.cursor {
                Some(cursor) => range.from = cursor,
                None => break,
            }
        }
        if !charges.is_empty() {
            lately.push((execution, charges));
        }
    }
    Ok(lately)
}

/// Executions that were charged since, by the log.
async fn charged(
    store: &dyn store::Store,
    here: store::PartitionId,
    since: Millis,
) -> Result<BTreeSet<ExecutionId>, store::StoreError> {
    let mut executions = BTreeSet::new();
    let mut range = store::Range { reverse: true, ..store::Range::prefix(b"g", ROWS) };
    loop {
        let page = store.range(here, range.clone()).await?;
        for (_, row) in &page.rows {
            let events = decode_log(row).unwrap_or_default();
            if events.first().is_some_and(|event| event.at < since) {
                return Ok(executions);
            }
            let charged = events.iter().filter(|event| event.kind == EventKind::Charged);
            executions.extend(charged.filter_map(|event| event.execution));
        }
        match page.cursor {
            Some(cursor) => range.to = cursor,
            None => return Ok(executions),
        }
    }
}
