//! Events as they happen, over broken connections and restarted servers.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff};
use futures_util::stream::{self, StreamExt as _};
use stint_api::{EventsReply, ExecutionEvent};
use tokio::time::Instant;

use super::{Client, Items};
use crate::transport::{EventStream, Request, SendError, Target};
use crate::{Error, far, retry};

/// A stream that was open for this long had reached a server that serves it.
const HELD: Duration = Duration::from_secs(1);

/// An execution that is followed.
struct Following {
    client: Client,
    of: Target,
    /// Behind this event it goes on.
    after: Option<String>,
    open: Option<EventStream>,
    /// Since when it is open.
    open_since: Instant,
    /// Until when it is tried to open one, once that has failed.
    until: Option<Instant>,
    waits: Option<ExponentialBackoff>,
    is_over: bool,
}

impl Client {
    /// An execution's events: first those that are kept, then each as it happens, until it has ended. One that was
    /// replayed has not. Where the connection breaks it goes on behind the last event, with none lost or given twice.
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
            open_since: Instant::now(),
            until: None,
            waits: None,
            is_over: false,
        };
        Items::new(stream::unfold(following, |mut following| async move {
            if following.is_over {
                return None;
            }
            let next = following.next().await;
            following.is_over = !matches!(next, Some(Ok(_)));
            next.map(|next| (next, following))
        }))
    }
}

impl Following {
    async fn next(&mut self) -> Option<Result<ExecutionEvent, Error>> {
        loop {
            let Some(open) = &mut self.open else {
                match self.client.transport.follow(&self.of, self.after.as_deref()).await {
                    Ok(open) => {
                        self.open = Some(open);
                        self.open_since = Instant::now();
                    }
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
                    (self.until, self.waits) = (None, None);
                    return Some(Ok(event));
                }
                Some(Err(error)) => {
                    self.closed();
                    if let Some(ended) = self.missed(error).await {
                        return Some(Err(ended));
                    }
                }
                None => {
                    self.closed();
                    // A server that shuts down ends its streams, too.
                    match self.is_at_the_end().await {
                        Ok(true) => return None,
                        Ok(false) => {
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

    /// The stream broke. One that held for a while was no failed try, however little there was to say.
    fn closed(&mut self) {
        self.open = None;
        if self.open_since.elapsed() >= HELD {
            (self.until, self.waits) = (None, None);
        }
    }

    /// Whether nothing has happened behind the last event, and it was the end. A replay may have followed an end.
    async fn is_at_the_end(&mut self) -> Result<bool, Error> {
        let kept: EventsReply = self.client.get(Request::Events(self.of.clone())).await?;
        let last = kept.events.last();
        Ok(last.is_some_and(|last| last.is_end() && self.after.as_ref() == Some(&last.cursor)))
    }

    /// Waits before the next try, unless there is to be none.
    async fn missed(&mut self, error: SendError) -> Option<Error> {
        let deadline = self.client.deadline;
        let until = *self.until.get_or_insert_with(|| far::after(deadline));
        let error = match error {
            SendError::Garbled(what) => return Some(Error::Protocol(what)),
            SendError::Refused(problem) if !SendError::Refused(problem.clone()).is_passing() => {
                return Some(Error::Refused(problem));
            }
            error if Instant::now() >= until => {
                return Some(Error::NoAnswer { deadline, may_be_done: false, last: error });
            }
            error => error,
        };
        let randomness = &self.client.randomness;
        let waits = self.waits.get_or_insert_with(|| retry::backoff(randomness).build());
        let asked = Duration::from_millis(error.retry_after_ms().unwrap_or(0));
        tokio::time::sleep(waits.next().unwrap_or_default().max(asked)).await;
        None
    }
}
