//! The worker: leases work, runs handlers, keeps leases alive, reports.

mod context;
mod event;
mod exchange;
mod failure;
mod handler;
mod held;
mod outbox;
mod pace;
mod purse;
mod reply;
mod spend;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stint_api::{Payload, SessionWorker};

use crate::{Client, Error};
use exchange::Exchanger;
use handler::Handlers;
use pace::Pace;

pub use context::{Context, Stopping};
pub use failure::Failure;

/// Handlers that run at the same time, unless the builder says otherwise.
const SLOTS: usize = 16;

/// How long a drain waits for handlers, unless the builder says otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs handlers for executions of their kinds. See [`Worker::builder`].
pub struct Worker {
    client: Client,
    settings: Arc<Settings>,
    session: String,
}

/// Settings and handlers of a [`Worker`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// use std::time::Duration;
/// use stint::api::Payload;
/// use stint::{Context, Failure, Worker, WorkerBuilder};
///
/// let builder: WorkerBuilder = Worker::builder(&client)
///     .name("crawler-1")
///     .version("2026-11-23")
///     .lanes(["crawl", "default"])
///     .capabilities(["gpu", "region=eu", "mem_gb=64"])
///     .slots(32)
///     .drain_timeout(Duration::from_secs(60))
///     // Input and output are any types that serde can read and write.
///     .handler("double", async |_: Context, number: u64| Ok::<_, Failure>(number * 2))
///     // Bytes, or JSON that is passed on as it is.
///     .raw_handler("echo", async |_, input: Payload| Ok(input))
///     // All kinds that it has handlers for, unless it is to take fewer.
///     .kinds(["double"]);
/// let worker = builder.build()?;
/// assert_eq!(worker.name(), "crawler-1");
/// // Until the process is asked to end: `worker.run(stint::shutdown_signal())`.
/// worker.run(std::future::ready(())).await?;
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct WorkerBuilder {
    client: Client,
    name: Option<String>,
    settings: Settings,
}

/// What a worker is.
#[derive(Default)]
struct Settings {
    name: String,
    version: Option<String>,
    capabilities: Vec<String>,
    lanes: Vec<String>,
    kinds: Vec<String>,
    namespace: Option<String>,
    slots: usize,
    drain_timeout: Duration,
    handlers: Handlers,
}

impl Worker {
    /// A worker over this client's connection and namespace.
    pub fn builder(client: &Client) -> WorkerBuilder {
        WorkerBuilder {
            client: client.clone(),
            name: None,
            settings: Settings { slots: SLOTS, drain_timeout: DRAIN_TIMEOUT, ..Settings::default() },
        }
    }

    /// The worker's name, which attempts are shown under.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Works until `shutdown` is ready; then takes nothing new, lets handlers finish within the drain time-out,
    /// and gives the rest back. A server that is away is waited for. Fails only if server and worker do not fit
    /// together, such as a lane name that the server does not take.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let pace = Pace::new(self.client.randomness().clone());
        Exchanger::new(self.settings, self.client.transport(), self.session, pace).run(shutdown).await
    }
}

impl WorkerBuilder {
    /// Its name, which attempts are shown under; a random one unless given.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it runs, to tell deployments apart.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.version = Some(version.into());
        self
    }

    /// The lanes it serves; `default` unless given.
    pub fn lanes<T: Into<String>>(mut self, lanes: impl IntoIterator<Item = T>) -> Self {
        self.settings.lanes = lanes.into_iter().map(Into::into).collect();
        self
    }

    /// The kinds it takes; those of its handlers unless given.
    pub fn kinds<T: Into<String>>(mut self, kinds: impl IntoIterator<Item = T>) -> Self {
        self.settings.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// What it can do: `gpu`, `region=eu`, `mem_gb=64`.
    pub fn capabilities<T: Into<String>>(mut self, capabilities: impl IntoIterator<Item = T>) -> Self {
        self.settings.capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    /// How many handlers run at the same time; 16 unless given.
    pub fn slots(mut self, slots: usize) -> Self {
        self.settings.slots = slots;
        self
    }

    /// How long handlers may finish after a shutdown; 30 s unless given.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// The handler of a kind. It must await something now and then: a handler is stopped, when its lease ends or
    /// a grace period is over, by dropping it at its next await.
    pub fn handler<In, Out, Run, Running>(mut self, kind: impl Into<String>, run: Run) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + 'static,
        Run: Fn(Context, In) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<Out, Failure>> + Send + 'static,
    {
        self.settings.handlers.insert(kind.into(), handler::typed(run));
        self
    }

    /// The handler of a kind whose input or output is bytes, or JSON that is passed on as it is.
    pub fn raw_handler<Run, Running>(mut self, kind: impl Into<String>, run: Run) -> Self
    where
        Run: Fn(Context, Payload) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<Payload, Failure>> + Send + 'static,
    {
        self.settings.handlers.insert(kind.into(), handler::raw(run));
        self
    }

    /// The worker.
    pub fn build(self) -> Result<Worker, Error> {
        let Self { client, name, mut settings } = self;
        if settings.slots == 0 || settings.slots > stint_api::EXCHANGE_ITEMS {
            let most = stint_api::EXCHANGE_ITEMS;
            return Err(Error::Configuration(format!("a worker has 1 to {most} slots")));
        }
        if settings.kinds.is_empty() {
            settings.kinds = settings.handlers.keys().cloned().collect();
        }
        if settings.kinds.is_empty() {
            return Err(Error::Configuration("a worker needs at least one handler".to_owned()));
        }
        if settings.lanes.is_empty() {
            settings.lanes.push("default".to_owned());
        }
        let session = client.randomness().session();
        settings.name = name.unwrap_or_else(|| format!("worker-{}", session.get(..8).unwrap_or_default()));
        settings.namespace = client.named();
        Ok(Worker { client, settings: Arc::new(settings), session })
    }
}

impl Settings {
    fn worker(&self, session: &str) -> SessionWorker {
        SessionWorker {
            name: self.name.clone(),
            session: session.to_owned(),
            version: self.version.clone(),
            capabilities: self.capabilities.clone(),
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
