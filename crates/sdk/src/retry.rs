//! Sending until there is an answer.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::transport::{Reply, Request, SendError, Transport};
use crate::{Error, Randomness};

/// The first wait before sending again; each later one is up to twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// The longest wait before sending again: how late a client may notice that its server is back.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Waits between sends: exponential with jitter, without an end of its own.
pub(crate) fn backoff(randomness: &Randomness) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(randomness.next())
}

/// Sends `request` under the same key until it is answered or `deadline` is over.
pub(crate) async fn settle(
    transport: &dyn Transport,
    request: &Request,
    key: Option<&str>,
    deadline: Duration,
    randomness: &Randomness,
) -> Result<Reply, Error> {
    let tried = Mutex::new(Tried::default());
    let tried = || tried.lock().unwrap_or_else(PoisonError::into_inner);
    let sending = (|| async {
        tried().is_under_way = true;
        let answer = transport.send(request, key).await;
        if let Err(error) = &answer {
            tried().missed(error);
        }
        answer
    })
    .retry(backoff(randomness))
    .sleep(tokio::time::sleep)
    .when(SendError::is_passing)
    .adjust(|error, wait| {
        let asked = Duration::from_millis(error.retry_after_ms().unwrap_or(0));
        wait.map(|wait| wait.max(asked))
    });
    let patience = deadline.saturating_add(Duration::from_millis(request.wait_ms()));
    match tokio::time::timeout(patience, sending).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(SendError::Refused(problem))) => Err(Error::Refused(problem)),
        Ok(Err(SendError::Garbled(what))) => Err(Error::Protocol(what)),
        Ok(Err(_)) | Err(_) => {
            let Tried { last, is_under_way, is_in_doubt } = std::mem::take(&mut *tried());
            let last = last.unwrap_or_else(|| SendError::Lost("nothing came back".to_owned()));
            // Without a key it is a question, and does nothing.
            let may_be_done = key.is_some() && (is_under_way || is_in_doubt);
            Err(Error::NoAnswer { deadline: patience, may_be_done, last })
        }
    }
}

/// What is known of a request that has no answer yet.
#[derive(Default)]
struct Tried {
    last: Option<SendError>,
    is_under_way: bool,
    /// A server may have taken it at an earlier try.
    is_in_doubt: bool,
}

impl Tried {
    fn missed(&mut self, error: &SendError) {
        self.is_under_way = false;
        self.is_in_doubt |= !error.is_undone();
        self.last = Some(error.clone());
    }
}
