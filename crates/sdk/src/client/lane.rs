//! A lane, from the client's side.

use stint_api::{Lane, LaneReply, LaneSettings};

use super::Client;
use crate::Error;
use crate::transport::{LaneAction, Request};

/// One lane. See [`Client::lane`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// use stint::LaneHandle;
/// use stint::api::LaneSettings;
///
/// let mail: LaneHandle = client.lane("mail");
/// // More than this in the lane is refused.
/// mail.set(LaneSettings { max_length: Some(10_000), ..LaneSettings::default() }).await?;
/// mail.pause().await?;
/// assert!(mail.get().await?.paused);
/// mail.drain().await?;
/// mail.resume().await?;
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LaneHandle {
    client: Client,
    name: String,
}

impl LaneHandle {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its settings and what stands in it.
    pub async fn get(&self) -> Result<Lane, Error> {
        let lane: Box<Lane> = self.client.get(Request::Lane(self.client.target(&self.name))).await?;
        Ok(*lane)
    }

    /// Replaces its settings. Answered when all partitions know them, or with those that don't yet.
    pub async fn set(&self, mut settings: LaneSettings) -> Result<LaneReply, Error> {
        if settings.namespace.is_none() {
            settings.namespace = self.client.named();
        }
        let reply: Box<LaneReply> = self.client.post(Request::SetLane(self.name.clone(), settings)).await?;
        Ok(*reply)
    }

    /// Lets nothing in it start.
    pub async fn pause(&self) -> Result<LaneReply, Error> {
        self.act(LaneAction::Pause).await
    }

    /// Ends a pause or a drain.
    pub async fn resume(&self) -> Result<LaneReply, Error> {
        self.act(LaneAction::Resume).await
    }

    /// Refuses new work while what is there runs to its end.
    pub async fn drain(&self) -> Result<LaneReply, Error> {
        self.act(LaneAction::Drain).await
    }

    async fn act(&self, action: LaneAction) -> Result<LaneReply, Error> {
        let reply: Box<LaneReply> =
            self.client.post(Request::ActOnLane(action, self.client.target(&self.name))).await?;
        Ok(*reply)
    }
}
