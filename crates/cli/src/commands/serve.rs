//! `stint serve`.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;
use stint_engine::{Engine, EngineConfig};
use stint_server::{BindError, Server};
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::limits::ServeLimits;
use crate::exit::Failed;
use crate::signals::{self, Interrupts};
use crate::store::{StoreArgs, StoreUrl};

/// What to serve and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where data are kept: embedded:DIR or valkey://HOST:PORT.
    #[arg(long, env = "STINT_STORE")]
    store: StoreUrl,
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, env = "STINT_LISTEN", default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// This node's name, for people.
    #[arg(long, env = "STINT_NODE_NAME")]
    node_name: Option<String>,
    /// Logs as JSON lines instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: StoreArgs,
    #[command(flatten)]
    limits: ServeLimits,
    /// Ends when standard input closes.
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Writes what was counted to this file at the end.
    #[arg(long, hide = true)]
    report: Option<PathBuf>,
}

/// A server to be.
pub(super) struct Hosted {
    store: StoreUrl,
    listen: SocketAddr,
    how: StoreArgs,
    limits: ServeLimits,
    node_name: Option<String>,
    with_parent: bool,
    report: Option<PathBuf>,
}

impl Hosted {
    /// A server on this store at this address.
    pub(super) fn new(store: StoreUrl, listen: SocketAddr, how: StoreArgs) -> Self {
        Self {
            store,
            listen,
            how,
            limits: ServeLimits::default(),
            node_name: None,
            with_parent: false,
            report: None,
        }
    }
}

pub(crate) fn run(args: Args) -> Result<()> {
    start_log("info", args.json);
    let Args { store, listen, node_name, json: _, how, limits, with_parent, report } = args;
    host(Hosted { store, listen, how, limits, node_name, with_parent, report }, |_| {})
}

/// Serves until a signal comes. Says the address on standard output, and whatever `ready` says after it.
pub(super) fn host(hosted: Hosted, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(hosted, ready));
    runtime.shutdown_background();
    ended
}

async fn serve(args: Hosted, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    // From here on, so that a server that is told to stop while it opens its store ends in good order too.
    let mut interrupts = Interrupts::listen()?;
    let mut config = EngineConfig::default();
    if let Some(name) = args.node_name {
        config.node = name;
    }
    args.limits.hold(&mut config);
    let config_of_server = args.limits.server(args.listen);
    // Before the store is touched: a wrong address changes nothing.
    stint_server::check_address(args.listen).map_err(unlistenable)?;
    let opening = async {
        let store = args.store.open(&args.how).await?;
        let opened = Engine::open(store.clone(), config).await;
        let engine =
            opened.map_err(|error| Failed::Store { code: error.code(), reason: error.to_string() })?;
        anyhow::Ok((store, engine))
    };
    let (store, engine) = tokio::select! {
        biased;
        () = interrupts.heard() => {
            info!("stopped before the store was open");
            return Ok(());
        }
        opened = opening => opened?,
    };
    let server = match Server::bind(engine.clone(), config_of_server).await {
        Ok(server) => server,
        Err(error) => {
            engine.drain().await;
            return Err(unlistenable(error).into());
        }
    };
    let line = format!("stint listening on http://{}", server.address());
    writeln!(std::io::stdout(), "{line}").context("cannot say the address on standard output")?;
    info!(address = %server.address(), "listening");
    ready(server.address());
    let with_parent = args.with_parent;
    server
        .serve(async move {
            let parent = async {
                if with_parent {
                    signals::parent_gone().await;
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                biased;
                () = interrupts.heard() => {}
                () = parent => {}
            }
        })
        .await;
    if let Some(path) = args.report {
        let counters = store.counters();
        let report = json!({
            "commits": counters.commits,
            "writes": counters.writes,
            "bytes": counters.bytes,
            "syncs": counters.syncs,
            "longest_commit_us": counters.longest_commit_us,
        });
        std::fs::write(&path, report.to_string()).with_context(|| path.display().to_string())?;
    }
    info!("stopped");
    Ok(())
}

fn unlistenable(error: BindError) -> Failed {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failed::Usage(format!("{error}{cause}"))
}

/// Logs to standard error, at this level unless `STINT_LOG` says otherwise.
pub(super) fn start_log(level: &str, as_json: bool) {
    let usual = || EnvFilter::new(format!("{level},fjall=warn,lsm_tree=warn"));
    let filter = EnvFilter::try_from_env("STINT_LOG").unwrap_or_else(|_| usual());
    let is_colourful =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_colourful);
    if as_json { log.json().init() } else { log.init() }
}
