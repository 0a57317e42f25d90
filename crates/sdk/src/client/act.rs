//! What an operator does to one execution, from the client's side.

use std::collections::BTreeMap;

use stint_api::{ActionReply, ActionRequest, CancelRequest, PriorityRequest, ReplayRequest, TagRequest};

use super::Client;
use crate::Error;
use crate::transport::{Action, Request};

impl Client {
    /// Cancels an execution. Running code is asked to stop and has a grace period. Cancelling twice is fine.
    pub async fn cancel(&self, id: &str, mut request: CancelRequest) -> Result<ActionReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Cancel(id.to_owned(), request)).await
    }

    /// Runs an execution that has ended again, with its whole journal or without some of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use stint::Submission;
    /// use stint::api::{CancelRequest, ExecutionState, ReplayRequest};
    ///
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// client.cancel(&id, CancelRequest::default()).await?;
    /// let replayed = client.replay(&id, ReplayRequest::default()).await?;
    /// assert_eq!(replayed.state, ExecutionState::Ready);
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replay(&self, id: &str, mut request: ReplayRequest) -> Result<ActionReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Replay(id.to_owned(), request)).await
    }

    /// Changes an execution's priority.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// # use stint::Submission;
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// client.set_priority(&id, 50).await?;
    /// // It does not start before it is resumed.
    /// client.pause(&id).await?;
    /// client.resume(&id).await?;
    /// // Only what runs has a lease to take away.
    /// assert!(client.revoke(&id).await.is_err());
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_priority(&self, id: &str, priority: i32) -> Result<ActionReply, Error> {
        let request = PriorityRequest { priority, namespace: self.named() };
        self.post(Request::SetPriority(id.to_owned(), request)).await
    }

    /// Adds tags to an execution, open or ended, or gives them new values. It has at most 8.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// # use stint::Submission;
    /// # use std::collections::BTreeMap;
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// client.tag(&id, BTreeMap::from([("customer".to_owned(), "c-17".to_owned())])).await?;
    /// assert_eq!(client.execution(&id).await?.tags["customer"], "c-17");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tag(&self, id: &str, tags: BTreeMap<String, String>) -> Result<ActionReply, Error> {
        let request = TagRequest { tags, namespace: self.named() };
        self.post(Request::Tag(id.to_owned(), request)).await
    }

    /// Keeps an execution from starting. Running code is asked to stop.
    pub async fn pause(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Pause, id).await
    }

    /// Ends a pause.
    pub async fn resume(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Resume, id).await
    }

    /// Takes an execution's lease away from its worker.
    pub async fn revoke(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Revoke, id).await
    }

    async fn act(&self, action: Action, id: &str) -> Result<ActionReply, Error> {
        let request = ActionRequest { namespace: self.named() };
        self.post(Request::Act(action, id.to_owned(), request)).await
    }
}
