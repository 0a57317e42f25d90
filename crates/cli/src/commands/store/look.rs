//! A store opened to look at it, and for nothing else.

use std::sync::Arc;

use anyhow::Result;
use stint_store::Store;
use stint_store::embedded::{EmbeddedConfig, EmbeddedStore, Loss};
use stint_store::valkey::ValkeyStore;

use crate::store::{StoreUrl, unopened, valkey_config};

/// A store, and what is missing of it.
pub(in crate::commands) struct Looked {
    pub(in crate::commands) store: Arc<dyn Store>,
    /// Confirmed batches that are not there.
    pub(in crate::commands) missing: Option<Loss>,
    /// Confirmed batches that were given up at an earlier start.
    pub(in crate::commands) given_up: Option<Loss>,
}

/// Opens it; refuses one that is not there, or that another process has.
pub(in crate::commands) async fn look(url: &StoreUrl) -> Result<Looked> {
    match url {
        StoreUrl::Embedded(path) => {
            let config = EmbeddedConfig { look: true, ..EmbeddedConfig::new(path) };
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(config)).await?;
            let store = opened.map_err(unopened)?;
            let (missing, given_up) = (store.missing(), store.accepted_loss());
            Ok(Looked { store, missing, given_up })
        }
        StoreUrl::Valkey(url) => {
            let store = ValkeyStore::look(valkey_config(url)).await.map_err(unopened)?;
            Ok(Looked { store, missing: None, given_up: None })
        }
    }
}
