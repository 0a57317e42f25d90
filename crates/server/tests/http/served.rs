//! A server for one test.

use std::net::SocketAddr;
use std::sync::Arc;

use stint_engine::{Engine, EngineConfig};
use stint_server::{Server, ServerConfig};
use stint_store::memory::{MemoryConfig, MemoryStore};
use stint_store::{Head, PartitionId, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

/// Serves until it is stopped or dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    store: Arc<MemoryStore>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
        let engine = Engine::open(store.clone(), EngineConfig::default()).await.unwrap();
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let server = Server::bind(engine.clone(), config).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(async {
            // A dropped sender stops as well.
            let _ = stopped.await;
        }));
        Self { address, engine, store, stop: Some(stop), task }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Where all partitions stand: unchanged if nothing was written.
    pub(crate) async fn heads(&self) -> Vec<Head> {
        let mut heads = Vec::new();
        for partition in 0..64 {
            heads.push(self.store.get(PartitionId(partition), Vec::new()).await.unwrap().head);
        }
        heads
    }

    /// Begins to shut down.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Shuts down and waits for it.
    pub(crate) async fn stopped(mut self) {
        self.stop();
        (&mut self.task).await.unwrap();
    }
}
