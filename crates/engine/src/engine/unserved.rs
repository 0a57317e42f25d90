//! Work that no worker is there for asks nothing of budgets: what was asked for it ends when the last worker that could
//! take it is gone, so that those behind it in a budget's queue need not wait for it. It keeps its place, and the next
//! claim that can take it asks again.

use std::sync::Arc;
use std::time::Duration;

use stint_core::command::Unserved;
use stint_core::model::Group;
use stint_core::{Command, PartitionId};

use crate::CallError;
use crate::node::Shared;
use crate::workers::Workers;

/// Pause before it is tried again where a partition did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// After a start no worker is known: so long they have to come through.
const COMING_BACK: Duration = Duration::from_secs(30);

/// Looks until the node ends.
pub(super) fn start(shared: &Arc<Shared>, workers: &Arc<Workers>) {
    let (shared, workers) = (shared.clone(), workers.clone());
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = shared.end() => {}
            () = look_on(&shared, &workers) => {}
        }
    });
}

async fn look_on(shared: &Shared, workers: &Workers) {
    tokio::time::sleep(COMING_BACK).await;
    loop {
        while end_all(shared, workers).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
        workers.loses().await;
    }
}

/// Ends what was asked for work that nobody may take before long. An error leaves some of it for later.
async fn end_all(shared: &Shared, workers: &Workers) -> Result<(), CallError> {
    // What another node works on is for that one to say: it hears the workers.
    for partition in PartitionId::all().filter(|partition| shared.elsewhere.of(*partition).is_none()) {
        loop {
            let look = |partition: &stint_core::Partition| -> Vec<Arc<Group>> {
                partition.groups_asking().cloned().collect()
            };
            let mut groups = shared.look(partition, look).await?;
            groups.retain(|group| !workers.may_take(group) && !shared.hub.is_waited_for(group));
            if groups.is_empty() {
                break;
            }
            shared.call(partition, Command::Unserved(Unserved { groups })).await?;
        }
    }
    Ok(())
}
