//! Waiting for an execution's end.

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use stint_api::{ExecutionState, Failure, Payload, ResultReply};
use tokio::time::Instant;

use super::Client;
use crate::transport::Request;
use crate::{Error, far};

/// How long one request waits; longer waits are several requests.
const WAIT_MS: u64 = 30_000;

/// A question for an execution's end. See [`Client::result`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// use std::time::Duration;
/// use stint::api::ExecutionState;
/// use stint::{Outcome, ResultCall, Submission};
///
/// let id = client.submit(Submission::new("mail").input(&7)).await?.id;
/// let asked: ResultCall<u32> = client.result(&id);
/// // With zero it only looks.
/// let outcome: Outcome<u32> = asked.wait(Duration::ZERO).await?;
/// assert_eq!(outcome.state, ExecutionState::Ready);
/// assert_eq!(outcome.into_output().unwrap_err().code(), "execution_not_ended");
/// // As the handler gave it, whatever that is.
/// let raw = asked.wait_raw(Duration::ZERO).await?;
/// assert_eq!(raw.output, None);
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResultCall<T> {
    client: Client,
    id: String,
    output: PhantomData<fn() -> T>,
}

/// An execution's end, or where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome<T> {
    /// Its state. One that is not terminal means that the wait was over first.
    pub state: ExecutionState,
    /// What it gave, if it completed.
    pub output: Option<T>,
    /// Why it did not.
    pub failure: Option<Failure>,
}

impl<T> ResultCall<T> {
    pub(super) fn new(client: Client, id: String) -> Self {
        Self { client, id, output: PhantomData }
    }

    /// Waits up to `patience` for the end; with zero it only looks, with `Duration::MAX` it waits without end. The output is as the handler gave it.
    pub async fn wait_raw(&self, patience: Duration) -> Result<Outcome<Payload>, Error> {
        let until = far::after(patience);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(WAIT_MS);
            let request = Request::Result { of: self.client.target(&self.id), wait_ms };
            let reply: ResultReply = self.client.get(request).await?;
            if reply.state.is_terminal() || Instant::now() >= until || wait_ms == 0 {
                return Ok(Outcome { state: reply.state, output: reply.output, failure: reply.error });
            }
        }
    }
}

impl<T: DeserializeOwned> ResultCall<T> {
    /// Waits up to `patience` for the end; with zero it only looks.
    pub async fn wait(&self, patience: Duration) -> Result<Outcome<T>, Error> {
        let raw = self.wait_raw(patience).await?;
        let output = raw.output.map(|output| output.parse()).transpose();
        let output =
            output.map_err(|error| Error::Payload { what: "the output", reason: error.to_string() })?;
        Ok(Outcome { state: raw.state, output, failure: raw.failure })
    }
}

impl<T> Outcome<T> {
    /// The output of a completed execution; anything else is an error.
    pub fn into_output(self) -> Result<T, Error> {
        match (self.state, self.output) {
            (ExecutionState::Completed, Some(output)) => Ok(output),
            (state, _) if state.is_terminal() => Err(Error::Ended { state, failure: self.failure }),
            (state, _) => Err(Error::NotEnded(state)),
        }
    }
}
