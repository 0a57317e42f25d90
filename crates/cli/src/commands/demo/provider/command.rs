//! `stint demo provider`: the provider of the demo, on its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Config, MODEL, PRICE, Provider};
use crate::commands::connection::block_on;
use crate::output;
use crate::signals::Interrupts;

/// Where it listens, and how it behaves.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:7401")]
    listen: SocketAddr,
    /// Keeps the bill in this file, and continues it. Without one it is kept in a temporary file.
    #[arg(long, value_name = "FILE")]
    bill: Option<PathBuf>,
    /// How long each answer takes.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    latency_ms: u64,
}

pub(crate) fn run(args: Args) -> Result<()> {
    block_on(async {
        let temporary = tempfile::Builder::new()
            .prefix("stint-provider-")
            .tempdir()
            .context("there is no place for temporary data")?;
        let bill = args.bill.unwrap_or_else(|| temporary.path().join("bill.ndjson"));
        let latency = Duration::from_millis(args.latency_ms);
        let mut interrupts = Interrupts::listen()?;
        let provider = Provider::start(Config { listen: args.listen, bill, latency }).await?;
        output::line(format_args!("provider listening on http://{}", provider.address()))?;
        eprintln!(
            "Model `{MODEL}`, in millionths of a dollar: {} for a million input tokens, {} if cached, {} for a million output \
             tokens, {} for a call.\nPOST /v1/chat/completions answers, GET /bill shows what was charged. Ctrl-C ends it.",
            PRICE.input, PRICE.cached_input, PRICE.output, PRICE.call
        );
        interrupts.heard().await;
        let total = provider.total();
        eprintln!("{} calls for {} millionths of a dollar", total.calls, total.usd_micros);
        Ok(())
    })
}
