//! What is measured: an engine in this process, or a server in a child process, on a fresh store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use stint::Client;
use stint_engine::{Engine, EngineConfig};
use stint_store::recording::Recording;
use stint_store::{Counters, Store};
use tempfile::TempDir;

use super::valkey::Valkey;
use super::{Args, Backend};
use crate::children::Kid;
use crate::store::{DurabilityArg, StoreUrl};

/// How long a client goes on trying: longer than any row's outage.
const DEADLINE: Duration = Duration::from_secs(120);

/// Writes that are recorded: some 60,000 tasks. More would cost the engine memory that the store alone does not need.
const RECORDED_WRITES: usize = 300_000;

/// How long a server may take to drain.
const DRAIN: Duration = Duration::from_secs(60);

/// A fresh store and what runs on it.
pub(super) struct Target {
    args: Args,
    dir: TempDir,
    pub(super) valkey: Option<Valkey>,
    /// The first batches, if they are to be replayed.
    pub(super) recording: Option<Arc<Recording>>,
    runs: Runs,
}

enum Runs {
    InProcess { engine: Engine, store: Arc<dyn Store> },
    Server { kid: Box<Kid>, address: String },
}

impl Target {
    /// An engine in this process.
    pub(super) async fn in_process(args: &Args, backend: Backend) -> Result<Self> {
        let dir = Self::dir(args)?;
        let valkey = start_valkey(backend).await?;
        let store = Self::url(&dir, valkey.as_ref()).open(&args.store_args()).await?;
        let engine = Engine::open(Arc::clone(&store), EngineConfig::default()).await?;
        Ok(Self { args: args.clone(), dir, valkey, recording: None, runs: Runs::InProcess { engine, store } })
    }

    /// The same, and the first batches are kept for [`Recording::replay`].
    pub(super) async fn recorded(args: &Args, backend: Backend) -> Result<Self> {
        let dir = Self::dir(args)?;
        let valkey = start_valkey(backend).await?;
        let store = Self::url(&dir, valkey.as_ref()).open(&args.store_args()).await?;
        let recording = Recording::of(store, RECORDED_WRITES);
        let store: Arc<dyn Store> = recording.clone();
        let engine = Engine::open(Arc::clone(&store), EngineConfig::default()).await?;
        let runs = Runs::InProcess { engine, store };
        Ok(Self { args: args.clone(), dir, valkey, recording: Some(recording), runs })
    }

    /// A server in a child process.
    pub(super) async fn server(args: &Args, backend: Backend) -> Result<Self> {
        Self::server_on(args, Self::dir(args)?, backend).await
    }

    /// A server in a child process, on the embedded store in this folder.
    pub(super) async fn server_on(args: &Args, dir: TempDir, backend: Backend) -> Result<Self> {
        let valkey = start_valkey(backend).await?;
        let (kid, address) = start_server(args, &dir, valkey.as_ref(), "127.0.0.1:0").await?;
        let runs = Runs::Server { kid: Box::new(kid), address };
        Ok(Self { args: args.clone(), dir, valkey, recording: None, runs })
    }

    /// A client with connections of its own.
    pub(super) fn client(&self) -> Result<Client> {
        match &self.runs {
            Runs::InProcess { engine, .. } => Ok(Client::in_process(engine.clone()).with_deadline(DEADLINE)),
            Runs::Server { address, .. } => {
                Ok(Client::builder().address(address).deadline(DEADLINE).build()?)
            }
        }
    }

    /// The server's process id; `None` in process.
    pub(super) fn server_pid(&self) -> Option<u32> {
        match &self.runs {
            Runs::InProcess { .. } => None,
            Runs::Server { kid, .. } => Some(kid.pid()),
        }
    }

    /// SIGKILL.
    pub(super) async fn kill_server(&mut self) -> Result<()> {
        match &mut self.runs {
            Runs::InProcess { .. } => bail!("there is no server"),
            Runs::Server { kid, .. } => kid.kill().await,
        }
    }

    /// Starts the server on the same data and port. Returns when it says that it listens.
    pub(super) async fn restart_server(&mut self) -> Result<()> {
        let Runs::Server { kid, address } = &mut self.runs else { bail!("there is no server") };
        let listen = address.strip_prefix("http://").unwrap_or(address).to_owned();
        let (new, _) = start_server(&self.args, &self.dir, self.valkey.as_ref(), &listen).await?;
        **kid = new;
        Ok(())
    }

    /// What the store has counted so far; only known in process.
    pub(super) fn counters(&self) -> Option<Counters> {
        match &self.runs {
            Runs::InProcess { store, .. } => Some(store.counters()),
            Runs::Server { .. } => None,
        }
    }

    /// Drains, and returns the folder with the data and what the store counted since it was opened.
    pub(super) async fn end(self) -> Result<(TempDir, Counters)> {
        let counters = match self.runs {
            Runs::InProcess { engine, store } => {
                engine.drain().await;
                store.counters()
            }
            Runs::Server { mut kid, .. } => {
                kid.terminate(DRAIN).await?;
                read_report(&report_path(&self.dir))?
            }
        };
        Ok((self.dir, counters))
    }

    fn dir(args: &Args) -> Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("stint-bench-");
        match &args.folder {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        }
        .context("no temporary folder")
    }

    fn url(dir: &TempDir, valkey: Option<&Valkey>) -> StoreUrl {
        match valkey {
            Some(server) => StoreUrl::Valkey(server.url()),
            None => StoreUrl::Embedded(dir.path().join("store")),
        }
    }
}

async fn start_valkey(backend: Backend) -> Result<Option<Valkey>> {
    match backend {
        Backend::Embedded => Ok(None),
        Backend::Valkey => Valkey::start().await.map(Some),
    }
}

async fn start_server(
    args: &Args,
    dir: &TempDir,
    valkey: Option<&Valkey>,
    listen: &str,
) -> Result<(Kid, String)> {
    let store = match valkey {
        Some(server) => server.url(),
        None => format!("embedded:{}", dir.path().join("store").display()),
    };
    let durability = match args.durability {
        DurabilityArg::Fsync => "fsync",
        DurabilityArg::Os => "os",
    };
    let report = report_path(dir).display().to_string();
    let said = ["--store", &store, "--listen", listen, "--durability", durability, "--report", &report];
    Kid::serve(&said.map(str::to_owned)).await
}

fn report_path(dir: &TempDir) -> PathBuf {
    dir.path().join("report.json")
}

fn read_report(path: &std::path::Path) -> Result<Counters> {
    let text = std::fs::read_to_string(path).context("the server left no report")?;
    let report: Value = serde_json::from_str(&text)?;
    let number = |field: &str| report.get(field).and_then(Value::as_u64).unwrap_or(0);
    Ok(Counters {
        commits: number("commits"),
        writes: number("writes"),
        bytes: number("bytes"),
        syncs: number("syncs"),
        longest_commit_us: number("longest_commit_us"),
    })
}
