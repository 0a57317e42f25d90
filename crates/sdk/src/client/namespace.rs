//! A namespace, from the client's side.

use stint_api::{Namespace, NamespaceReply, NamespaceSettings};

use super::Client;
use crate::Error;
use crate::transport::Request;

/// Settings of one namespace. See [`Client::settings_of`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// use stint::NamespaceHandle;
/// use stint::api::NamespaceSettings;
///
/// let staging: NamespaceHandle = client.settings_of("staging");
/// // What is submitted from now on, and says nothing of it, is kept for a day after its end.
/// staging.set(NamespaceSettings { retention_ms: Some(24 * 3_600_000), ..Default::default() }).await?;
/// assert_eq!(staging.get().await?.retention_ms, 24 * 3_600_000);
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct NamespaceHandle {
    client: Client,
    name: String,
}

impl NamespaceHandle {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// What it is set to.
    pub async fn get(&self) -> Result<Namespace, Error> {
        self.client.get(Request::Namespace(self.name.clone())).await
    }

    /// Replaces its settings. Answered when all partitions know them, or with those that don't yet.
    pub async fn set(&self, settings: NamespaceSettings) -> Result<NamespaceReply, Error> {
        self.client.post(Request::SetNamespace(self.name.clone(), settings)).await
    }
}
