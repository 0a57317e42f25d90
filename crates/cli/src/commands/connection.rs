//! How commands reach a server.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use stint::Client;

/// Where the server is and how to print.
#[derive(clap::Args)]
pub(crate) struct Connection {
    /// The server's address.
    #[arg(long, env = "STINT_SERVER", default_value = "http://127.0.0.1:7400")]
    server: String,
    /// The namespace.
    #[arg(long, env = "STINT_NAMESPACE", default_value = "default")]
    namespace: String,
    /// How long to go on trying while the server does not answer.
    #[arg(long, default_value_t = 30_000)]
    patience_ms: u64,
    /// Prints JSON for programs instead of text for people.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Connection {
    pub(crate) fn client(&self) -> Result<Client> {
        let patience = Duration::from_millis(self.patience_ms);
        Ok(Client::builder().address(&self.server).namespace(&self.namespace).deadline(patience).build()?)
    }
}

/// Runs a command that needs one thread.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
