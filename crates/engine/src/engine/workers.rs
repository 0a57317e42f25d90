//! Workers that this node has heard lately: soft state, which a restart forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use stint_api::{Code, Problem, WorkerInfo, WorkerReply, check_namespace};
use stint_core::PartitionId;
use tokio::time::Instant;

use super::lanes::COUNTS;
use super::{Engine, Inner};

impl Engine {
    /// Workers seen lately, by name.
    pub async fn workers(&self, namespace: &str) -> Result<Vec<WorkerInfo>, Problem> {
        check_namespace(namespace)?;
        let held = self.0.leases_held(namespace).await;
        Ok(self.0.workers.list(namespace, &held))
    }

    /// Gives a worker no more leases, and asks it to finish what it holds and end. It is this node that knows of it, and
    /// only as long as the worker is heard now and then.
    pub async fn drain_worker(&self, namespace: &str, id: &str) -> Result<WorkerReply, Problem> {
        check_namespace(namespace)?;
        let unknown = || Problem::new(Code::NotFound, format!("no worker {id} was heard lately"));
        let session = self.0.workers.drain(namespace, id).ok_or_else(unknown)?;
        if let Some(session) = session {
            self.0.sessions.drain(namespace, &session);
        }
        let workers = self.workers(namespace).await?;
        let worker = workers.into_iter().find(|worker| worker.id == id).ok_or_else(unknown)?;
        Ok(WorkerReply { worker })
    }
}

impl Inner {
    /// How many leases each worker of a namespace holds, by name and session.
    async fn leases_held(&self, namespace: &str) -> BTreeMap<(Arc<str>, u64), u64> {
        let namespace = namespace.to_owned();
        let look = move |partition: &stint_core::Partition| partition.leases_held(&namespace);
        let all = PartitionId::all().collect();
        let mut held = BTreeMap::new();
        for (_, part) in self.look_at(&all, look, Instant::now() + COUNTS).await {
            for (worker, count) in part {
                *held.entry(worker).or_default() += count;
            }
        }
        held
    }
}
