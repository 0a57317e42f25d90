//! `stint dev`: a server to try things with.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::connection::USUAL_ADDRESS;
use super::serve;
use crate::store::{DurabilityArg, StoreArgs, StoreUrl};

/// Where data are kept, and where to listen.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keeps data in this directory. Without one they are in a temporary directory that is removed at the end.
    dir: Option<PathBuf>,
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, env = "STINT_LISTEN", default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// Says more about what the server does (STINT_LOG says exactly what).
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    serve::start_log(if args.verbose { "info" } else { "warn" }, false);
    let temporary = match args.dir {
        Some(_) => None,
        None => {
            let dir = tempfile::Builder::new().prefix("stint-dev-").tempdir();
            Some(dir.context("there is no place for temporary data; name a directory")?)
        }
    };
    let dir = match (&args.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.path().join("store"),
        (None, None) => anyhow::bail!("no directory"),
    };
    let how = StoreArgs {
        // Data that go with the process need not survive more than it.
        durability: if temporary.is_some() { DurabilityArg::Os } else { DurabilityArg::Fsync },
        accept_loss: false,
        low_water_mib: 512,
    };
    let is_kept = temporary.is_none();
    let shown = dir.display().to_string();
    let ended = serve::host(serve::Hosted::new(StoreUrl::Embedded(dir), args.listen, how), |address| {
        greet(address, &shown, is_kept);
    });
    let removed = temporary.map_or(Ok(()), tempfile::TempDir::close);
    ended?;
    removed.context("the temporary data can't be removed")
}

fn greet(address: SocketAddr, dir: &str, is_kept: bool) {
    let address = format!("http://{address}");
    let fate = if is_kept { "stay there" } else { "are removed at the end" };
    let mut said = format!(
        "Stint {} for trying things. Data are in {dir} and {fate}. Ctrl-C ends it.\n\nIn another terminal:\n\n",
        env!("CARGO_PKG_VERSION")
    );
    if address != USUAL_ADDRESS {
        said.push_str(&format!("  export STINT_SERVER={address}\n"));
    }
    for (command, what) in [
        ("stint submit hello '\"Ada\"'", "submits work of kind `hello`"),
        ("stint work hello -- cat", "runs a program for each execution, here cat"),
        ("stint run hello '\"Bob\"'", "submits, waits, prints the output"),
        ("stint list", "shows what there is"),
        ("stint --help", "shows the rest"),
    ] {
        said.push_str(&format!("  {command:<30} {what}\n"));
    }
    eprint!("{said}");
}
