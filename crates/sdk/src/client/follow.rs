//! Events as they happen, over broken connections and restarted servers.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff};
use futures_util::stream::{self, StreamExt as _};
use stint_api::{ExecutionEvent, ResultReply};
use tokio::time::Instant;

use super::{Client, Items};
use crate::transport::{EventStream, Request, SendError, Target};
use crate::{Error, retry};

/// An execution that is followed.
struct Following {
    client: Client,
    of: Target,
    /// Behind this event it goes on.
    after: Option<String>,
    open: Option<EventStream>,
    /// Whether the open stream has given anything.
    has_spoken: bool,
    /// Until when it is tried to open one, once that has failed.
    until: Option<Instant>,
    waits: Option<ExponentialBackoff>,
    is_over: bool,
}

impl Client {
    /// An execution's events: first those that are kept, then each as it happens, up to the one that ends it. Where the
    /// connection breaks it goes on behind the last event, with none lost or given twice.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// let mut events = client.follow(&id);
    /// let first = events.next().await.expect("at least its submission")?;
    /// assert_eq!(first.event, "submitted");
    ///
    /// client.cancel(&id, Default::default()).await?;
    /// // Whoever comes later goes on from where another was.
    /// let rest = client.follow_from(&id, first.cursor).all().await?;
    /// assert_eq!(rest.last().map(|event| event.event.as_str()), Some("cancelled"));
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, id: &str) -> Items<ExecutionEvent> {
        self.following(id, None)
    }

    /// As [`follow`](Self::follow), from behind the event with this cursor.
    pub fn follow_from(&self, id: &str, cursor: impl Into<String>) -> Items<ExecutionEvent> {
        self.following(id, Some(cursor.into()))
    }

    fn following(&self, id: &str, after: Option<String>) -> Items<ExecutionEvent> {
        let following = Following {
            client: self.clone(),
            of: self.target(id),
            after,
            open: None,
            has_spoken: false,
            until: None,
            waits: None,
            is_over: false,
        };
        Items::new(stream::unfold(following, |mut following| async move {
            if following.is_over {
                return None;
            }
            let next = following.next().await;
            following.is_over = match &next {
                Some(Ok(event)) => event.is_end(),
                Some(Err(_)) | None => true,
            };
            next.map(|next| (next, following))
        }))
    }
}

impl Following {
    async fn next(&mut self) -> Option<Result<ExecutionEvent, Error>> {
        loop {
            let Some(open) = &mut self.open else {
                match self.client.transport.follow(&self.of, self.after.as_deref()).await {
                    Ok(open) => (self.open, self.has_spoken) = (Some(open), false),
                    Err(error) => {
                        if let Some(ended) = self.missed(error).await {
                            return Some(Err(ended));
                        }
                    }
                }
                continue;
            };
            match open.next().await {
                Some(Ok(event)) => {
                    self.after = Some(event.cursor.clone());
                    self.has_spoken = true;
                    (self.until, self.waits) = (None, None);
                    return Some(Ok(event));
                }
                Some(Err(error)) => {
                    self.open = None;
                    if let Some(ended) = self.missed(error).await {
                        return Some(Err(ended));
                    }
                }
                None => {
                    self.open = None;
                    // A server that shuts down ends its streams, too. One that ended without a word, of an execution
                    // that has ended, was asked for what comes behind the end.
                    match self.has_ended().await {
                        Ok(true) if !self.has_spoken => return None,
                        Ok(_) => {
                            let silent = SendError::Lost("the stream ended early".to_owned());
                            if let Some(ended) = self.missed(silent).await {
                                return Some(Err(ended));
                            }
                        }
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }

    async fn has_ended(&mut self) -> Result<bool, Error> {
        let request = Request::Result { of: self.of.clone(), wait_ms: 0 };
        let reply: ResultReply = self.client.get(request).await?;
        Ok(reply.state.is_terminal())
    }

    /// Waits before the next try, unless there is to be none.
    async fn missed(&mut self, error: SendError) -> Option<Error> {
        let deadline = self.client.deadline;
        let until = *self.until.get_or_insert_with(|| Instant::now() + deadline);
        let error = match error {
            SendError::Garbled(what) => return Some(Error::Protocol(what)),
            SendError::Refused(problem) if !SendError::Refused(problem.clone()).is_passing() => {
                return Some(Error::Refused(problem));
            }
            error if Instant::now() >= until => return Some(Error::NoAnswer { deadline, last: error }),
            error => error,
        };
        let randomness = &self.client.randomness;
        let waits = self.waits.get_or_insert_with(|| retry::backoff(randomness).build());
        let asked = Duration::from_millis(error.retry_after_ms().unwrap_or(0));
        tokio::time::sleep(waits.next().unwrap_or_default().max(asked)).await;
        None
    }
}
