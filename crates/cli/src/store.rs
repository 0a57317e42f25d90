//! Which store: `embedded:DIR` or `valkey://HOST:PORT`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use stint_store::embedded::{Durability, EmbeddedConfig, EmbeddedStore};
use stint_store::valkey::{Ack, ValkeyConfig, ValkeyStore};
use stint_store::{OpenError, Store};

use crate::exit::{self, Failed};

/// A store, as the command line names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StoreUrl {
    /// On this machine's disk, in a directory.
    Embedded(PathBuf),
    /// A Valkey or Redis server, or a cluster of them.
    Valkey(String),
}

/// How to open it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct StoreArgs {
    /// What a confirmed commit survives: `fsync` the loss of power, `os` the end of the process. Embedded only.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Fsync)]
    pub(crate) durability: DurabilityArg,
    /// Opens although confirmed writes are missing, and goes on without them. Embedded only.
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Free disk space, in MiB, below which only what ends work is accepted. Embedded only.
    #[arg(long, default_value_t = 512)]
    pub(crate) low_water_mib: u64,
}

/// See [`Durability`].
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DurabilityArg {
    Fsync,
    Os,
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("embedded:") {
            if path.is_empty() {
                return Err("embedded: needs a directory, such as embedded:./data".to_owned());
            }
            return Ok(Self::Embedded(PathBuf::from(path)));
        }
        if ["valkey://", "valkey+cluster://", "redis://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Valkey(text.to_owned()));
        }
        Err(format!("`{text}` is no store: expected embedded:DIR or valkey://HOST:PORT"))
    }
}

impl StoreUrl {
    /// Opens it. A store that fails later ends this process.
    pub(crate) async fn open(&self, args: &StoreArgs) -> Result<Arc<dyn Store>> {
        match self {
            Self::Embedded(path) => {
                let mut config = EmbeddedConfig::new(path);
                config.durability = match args.durability {
                    DurabilityArg::Fsync => Durability::Fsync,
                    DurabilityArg::Os => Durability::Os,
                };
                config.accept_loss = args.accept_loss;
                config.low_water_bytes = args.low_water_mib << 20;
                config.on_fatal = Some(Arc::new(|reason: &str| {
                    // Nothing may be promised any more, and nothing may be tidied up: it would write.
                    eprintln!("stint: store_failed: {reason}");
                    std::process::exit(exit::STORE.into());
                }));
                let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(config)).await?;
                Ok(opened.map_err(unopened)?)
            }
            Self::Valkey(url) => open_valkey(url).await,
        }
    }
}

async fn open_valkey(url: &str) -> Result<Arc<dyn Store>> {
    Ok(ValkeyStore::open(valkey_config(url)).await.map_err(unopened)?)
}

/// The settings of a store at this address.
pub(crate) fn valkey_config(url: &str) -> ValkeyConfig {
    ValkeyConfig { url: url.to_owned(), prefix: "stint".to_owned(), ack: Ack::Memory }
}

/// A store that does not open, as this command's end.
pub(crate) fn unopened(error: OpenError) -> Failed {
    Failed::Store { code: error.code(), reason: error.to_string() }
}
