//! Opening a node: who else is here, what the clock says, and then the partitions.

use std::sync::Arc;
use std::time::Duration;

use stint_store::{Store, StoreError};

use crate::clock::Clock;
use crate::hub::Hub;
use crate::meta::{self, Myself};
use crate::node::{Node, Parts, Shared};
use crate::partition::{Local, Transport};
use crate::random::Randomness;
use crate::{EngineConfig, OpenError, Waiters, scanner};

/// While there is work the store's clock is read this often.
const CLOCK_EVERY: Duration = Duration::from_secs(10);

impl Node {
    /// Opens a store and begins to serve it. Partitions are served one by one, each as soon as it is loaded.
    pub async fn open(
        store: Arc<dyn Store>,
        config: EngineConfig,
        hub: Arc<Hub>,
        waiters: Arc<Waiters>,
    ) -> Result<Self, OpenError> {
        Self::open_with(store, config, hub, waiters, Arc::new(Local)).await
    }

    /// As [`Node::open`], with another way between partitions and nodes.
    pub(crate) async fn open_with(
        store: Arc<dyn Store>,
        config: EngineConfig,
        hub: Arc<Hub>,
        waiters: Arc<Waiters>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, OpenError> {
        let random = Randomness::new(config.seed);
        let myself = Myself {
            node: EngineConfig::node_id(&config.node),
            name: config.node.clone(),
            incarnation: random.number(),
            level: config.level,
            share: config.share,
        };
        let store_ms = store.clock().await?;
        let found = meta::enter(&store, &myself, &random, store_ms).await?;
        let exclusive = store.exclusive();
        let node = Self::start(Parts {
            clock: Clock::new(store_ms),
            random,
            hub,
            waiters,
            transport,
            myself,
            replaced: found.replaced.is_some(),
            level: found.level,
            store,
            config,
        });
        scanner::start(node.shared());
        if let Some(identity) = found.replaced {
            tokio::spawn(meta::keep_identity(node.shared().clone(), identity));
        }
        if exclusive {
            tokio::spawn(follow_clock(node.shared().clone()));
        } else {
            // A heartbeat reads the store's clock anyway.
            tokio::spawn(meta::keep_alive(node.shared().clone()));
        }
        Ok(node)
    }
}

/// Reads the store's clock while there is work; nothing waits for it.
async fn follow_clock(shared: Arc<Shared>) {
    let follow = async {
        loop {
            shared.next_work().await;
            match shared.store.clock().await {
                Ok(store_ms) => shared.clock.follow(store_ms),
                Err(StoreError::Fatal(reason)) => shared.fail(&reason),
                Err(error) => tracing::debug!(%error, "the store's clock can't be read"),
            }
            tokio::time::sleep(CLOCK_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.end() => {}
        () = follow => {}
    }
}
