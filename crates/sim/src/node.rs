//! A node: an engine on the shared store, which can die at any moment and come back.
//!
//! A dead node is not dismantled, since that would be a graceful end. It is cut off: its store never answers again,
//! and nothing it says is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use stint_engine::{Engine, EngineConfig};
use tokio::sync::Notify;

use crate::seam::{SeamPeers, SeamStore};
use crate::world::World;

/// How long a node that failed to open waits before it tries again.
const REOPEN: Duration = Duration::from_millis(500);

/// How often a node looks for what the other one did, where nothing tells it.
const FOLLOW: Duration = Duration::from_secs(1);

/// One life of a node.
#[derive(Clone)]
pub(crate) struct Life(Arc<Inner>);

struct Inner {
    node: usize,
    dead: AtomicBool,
    /// Wakes in the order of waiting; a watch channel would wake in a random one.
    died: Notify,
    /// Commits until it dies of one; 0 is never.
    fuse: AtomicU64,
}

/// A node that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) life: Life,
}

impl Life {
    fn new(node: usize) -> Self {
        Self(Arc::new(Inner {
            node,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            fuse: AtomicU64::new(0),
        }))
    }

    pub(crate) fn node(&self) -> usize {
        self.0.node
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.0.dead.store(true, Relaxed);
        self.0.died.notify_waiters();
    }

    /// Ends it at its `n`-th commit from now.
    pub(crate) fn light_fuse(&self, n: u64) {
        self.0.fuse.store(n, Relaxed);
    }

    /// Counts a commit; whether it is the one to die of.
    pub(crate) fn burns_down(&self) -> bool {
        match self.0.fuse.load(Relaxed) {
            0 => false,
            left => {
                self.0.fuse.store(left - 1, Relaxed);
                left == 1
            }
        }
    }

    /// Goes on only while alive: a dead process does nothing more.
    pub(crate) async fn check(&self) {
        if self.0.dead.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Ready when it has died.
    pub(crate) async fn died(&self) {
        // Made before the look, so that a death in between is heard of.
        let died = self.0.died.notified();
        if !self.0.dead.load(Relaxed) {
            died.await;
        }
    }
}

/// Keeps a node running: opens it, and opens it again after it died.
pub(crate) async fn keep_running(world: Arc<World>, node: usize) {
    for incarnation in 1.. {
        let life = Life::new(node);
        world.starting(node, life.clone());
        let store = SeamStore::new(&world, life.clone());
        let opening = Engine::open(Arc::new(store), config(&world, &life, incarnation));
        let opened = tokio::select! {
            biased;
            () = life.died() => None,
            opened = opening => Some(opened),
        };
        match opened {
            Some(Ok(engine)) => {
                world.say(format_args!("n{node} is open"));
                world.started(node, Running { engine, life: life.clone() });
                life.died().await;
            }
            Some(Err(error)) => {
                world.say(format_args!("n{node} does not open: {error}"));
                life.kill();
            }
            None => {}
        }
        world.stopped(node);
        let wait = if world.is_calm() { REOPEN } else { REOPEN + world.down_time() };
        tokio::time::sleep(wait).await;
    }
}

/// A node's name.
pub(crate) fn name(node: usize) -> String {
    format!("n{node}")
}

fn config(world: &Arc<World>, life: &Life, incarnation: u64) -> EngineConfig {
    let node = life.node();
    EngineConfig {
        node: name(node),
        seed: Some(world.plan.seed.wrapping_mul(31).wrapping_add(node as u64 * 1_000 + incarnation)),
        share: true,
        level: level(world, node),
        peers: Some(SeamPeers::new(world, life.clone())),
        follow_every: Some(FOLLOW),
        ..EngineConfig::default()
    }
}

/// The level of records and rules that a node knows. Where a plan asks for two, the second node learns the newer one
/// only in the calm: until then it must leave alone what the first one has begun.
pub(crate) fn level(world: &World, node: usize) -> u32 {
    let is_newer = world.plan.levels && (node != World::OLDER || world.is_calm());
    stint_core::LEVEL + u32::from(is_newer)
}
