//! What a tree keeps for executions against the executions: holds and places in queues that nobody wants any more.
//!
//! A tree drops them only by their execution's partition's word, which is the protocol's business; here they are found, so
//! that they can be told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stint_core::command::{Reconcile, budget_home, wants};
use stint_core::model::{Amounts, PermitKey, is_under};
use stint_core::{Command, PartitionId};

use crate::CallError;
use crate::node::Shared;

/// An end that is on its way has arrived after this.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What is dropped is looked for again after this, and so often.
const GONE_AFTER: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 100;

/// Something that is kept for an execution which does not want it.
#[derive(Clone, Debug)]
pub(crate) struct Stray {
    /// For whom.
    pub(crate) key: PermitKey,
    /// Under which budget.
    pub(crate) path: String,
    /// What is held; nothing of what waits.
    pub(crate) held: Amounts,
    /// It is gone now.
    pub(crate) dropped: bool,
}

/// Strays among the holds and waiters at a path and below, and how many of these there are.
pub(crate) async fn find(
    shared: &Shared,
    namespace: &str,
    path: &str,
) -> Result<(usize, Vec<Stray>), CallError> {
    let (asked_after, mut strays) = unwanted(shared, namespace, path).await?;
    if !strays.is_empty() {
        tokio::time::sleep(ON_ITS_WAY).await;
        let (_, again) = unwanted(shared, namespace, path).await?;
        let again: BTreeSet<PermitKey> = again.into_iter().map(|stray| stray.key).collect();
        strays.retain(|stray| again.contains(&stray.key));
    }
    Ok((asked_after, strays))
}

/// Lets the tree ask after all it has, which drops strays, and waits until these are gone.
pub(crate) async fn drop_all(
    shared: &Shared,
    namespace: &str,
    tree: &str,
    strays: &mut [Stray],
) -> Result<(), CallError> {
    let home = budget_home(namespace, tree);
    let (namespace, tree) = (namespace.to_owned(), tree.to_owned());
    let reconcile =
        Reconcile { namespace: namespace.clone(), tree: tree.clone(), asks: true, unfit: Vec::new() };
    shared.call(home, Command::Reconcile(reconcile)).await?;
    for _ in 0..LOOKS_MAX {
        let left = kept(shared, &namespace, &tree).await?;
        let left: BTreeSet<PermitKey> = left.into_iter().map(|stray| stray.key).collect();
        for stray in strays.iter_mut() {
            stray.dropped = !left.contains(&stray.key);
        }
        if strays.iter().all(|stray| stray.dropped) {
            break;
        }
        tokio::time::sleep(GONE_AFTER).await;
    }
    Ok(())
}

/// What their executions' partitions do not want now. A partition that does not answer is an error, and no absence.
async fn unwanted(shared: &Shared, namespace: &str, path: &str) -> Result<(usize, Vec<Stray>), CallError> {
    let home = budget_home(namespace, path);
    let kept = kept(shared, namespace, path).await?;
    let all = kept.len();
    let mut by_partition: BTreeMap<PartitionId, Vec<Stray>> = BTreeMap::new();
    for stray in kept {
        by_partition.entry(stray.key.execution.partition()).or_default().push(stray);
    }
    let mut unwanted = Vec::new();
    for (partition, kept) in by_partition {
        let look = move |partition: &stint_core::Partition| {
            kept.iter().filter(|stray| !wants(partition, &stray.key, home)).cloned().collect::<Vec<_>>()
        };
        unwanted.extend(shared.look(partition, look).await?);
    }
    Ok((all, unwanted))
}

/// All that is held for executions and is not in doubt, and all who wait.
async fn kept(shared: &Shared, namespace: &str, path: &str) -> Result<Vec<Stray>, CallError> {
    let home = budget_home(namespace, path);
    let (namespace, path) = (namespace.to_owned(), path.to_owned());
    let look = move |partition: &stint_core::Partition| {
        let is_meant = |of: &str, at: &str| of == namespace && is_under(at, &path);
        let stray = |key, path: &str, held| Stray { key, path: path.to_owned(), held, dropped: false };
        let holds = partition.permits().filter(|(_, hold)| !hold.in_doubt());
        let holds = holds.filter(|(_, hold)| is_meant(&hold.namespace, &hold.path));
        let waiters = partition.waiters().filter(|(_, ask)| is_meant(&ask.namespace, &ask.path));
        let held = holds.map(|(key, hold)| stray(key, &hold.path, hold.held.clone()));
        held.chain(waiters.map(|(key, ask)| stray(key, &ask.path, Amounts::default()))).collect()
    };
    shared.look(home, look).await
}
