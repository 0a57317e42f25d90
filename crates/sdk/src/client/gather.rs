//! Submissions that are made at once travel together.
//!
//! The first few go at once, each on its own: who submits alone waits for nobody. What comes up while those are under
//! way waits until one of them is answered, and goes with all the others that wait, in one batch. So batches grow by
//! themselves when there is much to submit, and vanish when there is little.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use stint_api::{BATCH_EXECUTIONS, BatchRequest, Class, Problem, SubmitReply, SubmitRequest};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Client;
use crate::Error;
use crate::transport::{Request, SendError};

/// Requests with submissions under way at once, before others wait for them.
const AT_ONCE: usize = 4;

/// Bytes of inputs at which a batch closes: a body holds 4 MiB, and base64 and escapes need room.
const BATCH_BYTES: usize = 2 << 20;

/// What a submission weighs besides its input.
const SUBMISSION_BYTES: usize = 512;

/// The submissions of one client, shared by its clones.
#[derive(Debug, Default)]
pub(super) struct Gather(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: SubmitRequest,
    answer: oneshot::Sender<Result<SubmitReply, Error>>,
}

/// One of the requests that may be under way at once. When it is dropped, what waits is sent.
struct Slot {
    client: Client,
    /// Sends what waits, in a task of its own; when that ends before its time nobody else does.
    is_carrier: bool,
    is_free: bool,
}

impl Gather {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch of those that wait; if nobody waits the slot is free.
    fn take(&self) -> Vec<Waiting> {
        let mut state = self.state();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = state.waiting.pop_front() {
            // Whoever has given up waiting has not submitted anything.
            if next.answer.is_closed() {
                continue;
            }
            bytes += next.request.input.size() + SUBMISSION_BYTES;
            if !batch.is_empty() && (bytes > BATCH_BYTES || batch.len() >= BATCH_EXECUTIONS) {
                state.waiting.push_front(next);
                break;
            }
            batch.push(next);
        }
        if batch.is_empty() {
            state.under_way -= 1;
        }
        batch
    }
}

impl Client {
    /// Submits on its own if few others do just now, else together with them.
    pub(super) async fn submit_gathered(&self, request: SubmitRequest) -> Result<SubmitReply, Error> {
        let (answer, answered) = oneshot::channel();
        let alone = {
            let mut state = self.gather.state();
            if state.under_way < AT_ONCE {
                state.under_way += 1;
                Some(request)
            } else {
                state.waiting.push_back(Waiting { request, answer });
                None
            }
        };
        match alone {
            Some(request) => {
                let _slot = Slot { client: self.clone(), is_carrier: false, is_free: false };
                self.post(Request::Submit(Box::new(request))).await
            }
            None => answered.await.unwrap_or_else(|_| {
                let last = SendError::Lost("the runtime that sent it was shut down".to_owned());
                Err(Error::NoAnswer { deadline: self.deadline, may_be_done: true, last })
            }),
        }
    }

    async fn send_together(&self, batch: Vec<Waiting>) {
        let (requests, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.request, w.answer)).unzip();
        let results = match <[SubmitRequest; 1]>::try_from(requests) {
            Ok([request]) => vec![self.post(Request::Submit(Box::new(request))).await],
            Err(requests) => self.send_batch(requests).await,
        };
        for (answer, result) in answers.into_iter().zip(results) {
            // Whoever does not wait any more needs no answer.
            let _ = answer.send(result);
        }
    }

    async fn send_batch(&self, requests: Vec<SubmitRequest>) -> Vec<Result<SubmitReply, Error>> {
        let count = requests.len();
        let batch = BatchRequest { executions: requests.clone(), namespace: None };
        match self.batch(batch).await {
            Ok(results) => {
                let own = |(index, result): (usize, Result<SubmitReply, Problem>)| {
                    result.map_err(|problem| Error::Refused(about_itself(problem, index)))
                };
                results.into_iter().enumerate().map(own).collect()
            }
            // One of them spoils it for all. Nothing was done, so each may have its own answer.
            Err(Error::Refused(problem)) if problem.code.class() == Class::Permanent => {
                join_all(requests.into_iter().map(|r| self.post(Request::Submit(Box::new(r))))).await
            }
            Err(error) => vec![Err(error); count],
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_free {
            return;
        }
        let mut state = self.client.gather.state();
        if state.waiting.is_empty() {
            state.under_way -= 1;
            return;
        }
        match Handle::try_current() {
            Ok(runtime) if !self.is_carrier => {
                drop(state);
                let slot = Self { client: self.client.clone(), is_carrier: true, is_free: false };
                runtime.spawn(carry(slot));
            }
            _ => {
                state.under_way -= 1;
                // Their senders go with them, which tells those who wait.
                state.waiting.clear();
            }
        }
    }
}

/// Sends what waits until nobody does.
async fn carry(mut slot: Slot) {
    let gather = Arc::clone(&slot.client.gather);
    loop {
        let batch = gather.take();
        if batch.is_empty() {
            slot.is_free = true;
            return;
        }
        slot.client.send_together(batch).await;
    }
}

/// The problem of one submission of a batch, as if it had been alone.
fn about_itself(mut problem: Problem, index: usize) -> Problem {
    let place = format!("executions[{index}]");
    problem.field = problem.field.and_then(|field| match field.strip_prefix(&place) {
        Some("") => None,
        Some(rest) => Some(rest.trim_start_matches('.').to_owned()),
        None => Some(field),
    });
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_a_batch_is_told_without_its_place() {
        let field = |problem: Problem| about_itself(problem, 3).field;
        assert_eq!(field(Problem::invalid("executions[3].priority", "no")), Some("priority".to_owned()));
        assert_eq!(field(Problem::invalid("executions[3]", "no")), None);
        assert_eq!(field(Problem::invalid("namespace", "no")), Some("namespace".to_owned()));
    }
}
