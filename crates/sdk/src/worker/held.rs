//! A lease this worker holds, and the handler that runs under it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stint_api::{
    CompleteRequest, FailRequest, Lease, Outcome, Progress, ReleaseRequest, StopAction, SuspendedRequest,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::context::Started;
use super::event::{Event, Events, HoldAnswer, StepAnswer};
use super::handler::Handler;
use super::{Context, Failure, Stopping};

/// A lease, from the reply that gave it until its result is answered.
#[derive(Debug)]
pub(super) struct Held {
    ttl: Duration,
    /// When the lease may have ended for all this worker knows.
    ends_at: Instant,
    /// When a stop's grace is over.
    grace_ends_at: Option<Instant>,
    task: JoinHandle<()>,
    stopping: watch::Sender<Option<Stopping>>,
    /// Handlers' questions whether to run a step, by key.
    pub(super) asked: BTreeMap<String, Vec<StepAnswer>>,
    /// Handlers' asks for more money, by id.
    pub(super) asked_more: BTreeMap<String, HoldAnswer>,
    /// Progress that was not sent yet.
    pub(super) progress: Option<Progress>,
    /// Whether the handler's end is in the outbox or under way.
    pub(super) has_ended: bool,
}

impl Held {
    /// Starts the handler of a lease that came with an exchange sent at `sent_at`; `place` tells the lease from all others
    /// of its execution.
    pub(super) fn start(
        lease: Lease,
        handler: Option<Handler>,
        sent_at: Instant,
        place: &str,
        events: &Events,
    ) -> (Arc<str>, Self) {
        let ttl = Duration::from_millis(lease.ttl_ms);
        let token: Arc<str> = lease.lease.into();
        let (stopping, stops) = watch::channel(None);
        let mut execution = lease.execution;
        let input = std::mem::take(&mut execution.input);
        let kind = execution.kind.clone();
        let stopped = stops.clone();
        let (number, money) = (lease.attempt, lease.held);
        let started = Started { number, lease: Arc::clone(&token), place: place.to_owned(), money };
        let context = Context::new(execution, started, lease.steps, stops, events.clone());
        let attempt = Arc::clone(&context.attempt);
        let guard = Guard { lease: Arc::clone(&token), events: events.clone(), outcome: None };
        let task = tokio::spawn(async move {
            let mut guard = guard;
            let running = async move {
                match handler {
                    Some(handler) => handler(context, input).await,
                    None => {
                        Err(Failure::new("no_handler", format!("this worker has no handler for `{kind}`")))
                    }
                }
            };
            let ended = AssertUnwindSafe(running).catch_unwind().await;
            // A step that ran beside the one that failed, and was dropped with it, may still be spending.
            let unfinished = attempt.purse.has_open_steps();
            let fail = |failure: Failure| Outcome::Fail(FailRequest { unfinished, ..failure.into_request() });
            guard.outcome = Some(match ended {
                Ok(Ok(output)) => Outcome::Complete(CompleteRequest::new(output)),
                // What ends because its budget stops it has not failed.
                Ok(Err(_)) if parks(stopped.borrow().as_ref()) => match unfinished {
                    true => Outcome::Release(ReleaseRequest::unfinished()),
                    false => Outcome::Suspended(SuspendedRequest::default()),
                },
                Ok(Err(failure)) => fail(failure),
                Err(panic) => fail(Failure::new("panic", panic_message(&*panic))),
            });
        });
        let held = Self {
            ttl,
            ends_at: sent_at + ttl,
            grace_ends_at: None,
            task,
            stopping,
            asked: BTreeMap::new(),
            asked_more: BTreeMap::new(),
            progress: None,
            has_ended: false,
        };
        (token, held)
    }

    /// The server has seen the lease listed in an exchange sent at `sent_at`. It stores a renewal at most once
    /// per third of the time to live, so two thirds are sure.
    pub(super) fn renewed(&mut self, sent_at: Instant) {
        self.ends_at = self.ends_at.max(sent_at + self.ttl * 2 / 3);
    }

    /// No server could hear of the lease at `tried_at`. If it had not ended by then it can't end before its whole time
    /// to live has passed once more: a server counts from when it can take heartbeats again. The last third is left
    /// for a server that loads its data before it answers anybody.
    pub(super) fn outlasts(&mut self, tried_at: Instant) {
        if tried_at < self.ends_at {
            self.ends_at = self.ends_at.max(tried_at + self.ttl * 2 / 3);
        }
    }

    /// How long an exchange that lists this lease may be parked: its confirmation comes with the reply, and the
    /// next one must be confirmed before the lease could end.
    pub(super) fn patience(&self) -> Duration {
        self.ttl / 6
    }

    /// When the handler must be gone: a little before the lease ends, or when a stop's grace is over.
    pub(super) fn stops_at(&self) -> Instant {
        let end = self.ends_at - self.ttl / 10;
        self.grace_ends_at.map_or(end, |grace| grace.min(end))
    }

    /// Whether the handler was asked to stop and its grace is over.
    pub(super) fn is_out_of_grace(&self, now: Instant) -> bool {
        self.grace_ends_at.is_some_and(|grace| grace <= now)
    }

    /// Asks the handler to stop. A second stop never gives more time.
    pub(super) fn ask_to_stop(&mut self, reason: &str, action: StopAction, grace: Duration, now: Instant) {
        let ends = now + grace;
        self.grace_ends_at = Some(self.grace_ends_at.map_or(ends, |before| before.min(ends)));
        self.stopping.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert_with(|| Stopping { reason: reason.to_owned(), grace, action });
            is_first
        });
    }
}

impl Drop for Held {
    /// Whatever still runs is dropped at its next await; its slot is free when that has happened.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    /// Drops the handler but keeps the lease.
    pub(super) fn stop_handler(&mut self) {
        self.task.abort();
        self.asked.clear();
        self.asked_more.clear();
        self.has_ended = true;
    }
}

/// Whether a stop is for want of money: then no step begins any more, and its end is no failure.
pub(super) fn parks(stopping: Option<&Stopping>) -> bool {
    stopping.is_some_and(|stopping| matches!(stopping.action, StopAction::Suspend | StopAction::Fail))
}

/// Reports a handler's end, also when it is dropped half-way.
struct Guard {
    lease: Arc<str>,
    events: Events,
    outcome: Option<Outcome>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ended = Event::Ended { lease: Arc::clone(&self.lease), outcome: self.outcome.take() };
        // Without a loop nobody listens any more.
        let _ = self.events.send(ended);
    }
}

impl Failure {
    /// As it is sent, cut to what the API takes.
    fn into_request(self) -> FailRequest {
        let kind: String = self.kind.chars().filter(|c| !c.is_control()).collect();
        let kind = cut(if kind.is_empty() { "error".to_owned() } else { kind }, stint_api::ERROR_TYPE_BYTES);
        let mut error = stint_api::Failure::new(kind, cut(self.message, stint_api::ERROR_MESSAGE_BYTES));
        error.details = self
            .details
            .and_then(|details| serde_json::value::to_raw_value(&details).ok())
            .filter(|details| details.get().len() <= stint_api::ERROR_DETAILS_BYTES);
        let mut request = FailRequest::new(error);
        request.retry = self.retry;
        if self.retry != Some(false) {
            request.retry_after_ms =
                self.retry_after.map(|after| crate::client::ms(after).min(stint_api::DURATION_MS));
        }
        request
    }
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    said.unwrap_or_else(|| "the handler panicked".to_owned())
}
