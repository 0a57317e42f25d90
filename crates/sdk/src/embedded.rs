//! An engine inside the program: no server, the same client.

use std::path::Path;
use std::sync::Arc;

use stint_engine::{Engine, EngineConfig};
use stint_store::embedded::{EmbeddedConfig, EmbeddedStore};
use stint_store::memory::{MemoryConfig, MemoryStore};
use stint_store::{OpenError, Store};

use crate::{Client, Error};

/// An engine in this process, on a store of its own. Programs that need no server use it, and tests.
///
/// ```
/// use stint::{Context, Embedded, Failure, Submission, Worker};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let folder = dir.path().join("stint");
/// // The folder is made if it is not there. What was submitted in an earlier run goes on.
/// let stint = Embedded::open(&folder).await?;
/// let client = stint.client();
/// let worker = Worker::builder(&client)
///     .handler("square", async |_: Context, n: u64| Ok::<_, Failure>(n * n))
///     .build()?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let working = tokio::spawn(worker.run(async {
///     let _ = stopped.await;
/// }));
///
/// let id = client.submit(Submission::new("square").input(&12)).await?.id;
/// let squared = client.result::<u64>(id).wait(Duration::from_secs(10)).await?.into_output()?;
/// assert_eq!(squared, 144);
///
/// drop(stop);
/// working.await.unwrap()?;
/// stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embedded {
    engine: Engine,
}

impl Embedded {
    /// Opens the store in a folder, and makes it if it is not there. Everything confirmed survives a loss of power.
    /// Fails if another process has it open, and names that.
    pub async fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let config = EmbeddedConfig::new(folder.as_ref());
        // Opening reads the disk for a while.
        let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(config)).await;
        let store = opened.map_err(|error| Error::Store { code: "internal", reason: error.to_string() })?;
        let store = store
            .map_err(|error: OpenError| Error::Store { code: error.code(), reason: error.to_string() })?;
        Self::over(store).await
    }

    /// An engine that keeps everything in memory, and forgets it at its end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// let stint = stint::Embedded::in_memory().await?;
    /// assert_eq!(stint.client().ready().await?.status, "ready");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn in_memory() -> Result<Self, Error> {
        Self::over(Arc::new(MemoryStore::new(MemoryConfig { exclusive: true, ..MemoryConfig::default() })))
            .await
    }

    async fn over(store: Arc<dyn Store>) -> Result<Self, Error> {
        let opened = Engine::open(store, EngineConfig::default()).await;
        let engine =
            opened.map_err(|error| Error::Store { code: error.code(), reason: error.to_string() })?;
        engine.opened().await;
        Ok(Self { engine })
    }

    /// A client of it. All clients and workers of one engine see the same work.
    pub fn client(&self) -> Client {
        Client::in_process(self.engine.clone())
    }

    /// The engine itself, for a server or tools in the same process.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// let stint = stint::Embedded::in_memory().await?;
    /// println!("{:?}", stint.engine().stats());
    /// // A program that embeds the engine ends, as a server would, when its store fails.
    /// tokio::select! {
    ///     reason = stint.failed() => panic!("{reason}"),
    ///     () = work() => {}
    /// }
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// # async fn work() {}
    /// ```
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Resolves when the store can't be used any more, such as after a failed write, and says why. Whatever is not
    /// confirmed by then was not done.
    pub async fn failed(&self) -> String {
        self.engine.failed().await
    }

    /// Stops giving leases, finishes what is under way, and closes the store. Stop the workers first.
    pub async fn close(self) {
        self.engine.drain().await;
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}
