//! The way from one node to another: calls are forwarded over it, and get lost like any other message.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint_core::PartitionId;
use stint_core::command::{Command, Outcome};
use stint_engine::{CallError, EngineConfig, Peers};
use stint_store::NodeId;

use crate::node::{Life, name};
use crate::world::World;

/// See the module.
pub(crate) struct SeamPeers {
    world: Arc<World>,
    life: Life,
}

impl SeamPeers {
    pub(crate) fn new(world: &Arc<World>, life: Life) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), life })
    }

    async fn forward(
        &self,
        to: NodeId,
        partition: PartitionId,
        command: Command,
    ) -> Option<Result<Outcome, CallError>> {
        self.life.check().await;
        let from = self.life.node();
        let to = (0..World::NODES).find(|node| EngineConfig::node_id(&name(*node)) == to)?;
        let dice = &self.world.dice;
        let wire = if self.world.is_calm() { crate::plan::Wire::default() } else { self.world.plan.wire };
        tokio::time::sleep(Duration::from_micros(dice.between(50, 500))).await;
        self.life.check().await;
        let running = self.world.running(to)?;
        self.world.say(format_args!("n{from} forwards p{} to n{to}", partition.0));
        self.world.trace().count("forwarded");
        if dice.chance(wire.lost_request) {
            return None;
        }
        let node = running.engine.node().clone();
        let call = tokio::spawn(async move { node.call_here(partition, command).await });
        let answer = tokio::select! {
            biased;
            () = running.life.died() => None,
            answer = call => answer.ok(),
        };
        self.life.check().await;
        answer.filter(|_| !dice.chance(wire.lost_reply))
    }
}

impl Peers for SeamPeers {
    fn call(
        &self,
        to: NodeId,
        partition: PartitionId,
        command: Command,
    ) -> BoxFuture<'_, Option<Result<Outcome, CallError>>> {
        Box::pin(self.forward(to, partition, command))
    }
}

impl fmt::Debug for SeamPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeamPeers").field("node", &self.life.node()).finish_non_exhaustive()
    }
}
