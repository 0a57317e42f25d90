//! What is submitted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use stint_api::{Amounts, BudgetUse, Instant, Payload, Retry, SubmitRequest};

use crate::Error;

/// A piece of work to be run to an end.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use stint::api::Payload;
/// use stint::{Retry, Submission};
///
/// let mail = Submission::new("send-mail")
///     .input(&serde_json::json!({"to": "ada@example.org"}))
///     .lane("mail")
///     .priority(10)
///     .tag("customer", "ada")
///     .idempotency_key("welcome-ada")
///     .retry(Retry::fixed(5, Duration::from_secs(60)))
///     .retention(Duration::from_secs(30 * 24 * 3_600));
///
/// let training = Submission::new("train")
///     .input_bytes(vec![1, 2, 3], "application/x-weights")
///     .requires("gpu")
///     .requires("mem_gb >= 16")
///     // Each attempt starts with so much held, and all together never spend more than the cap.
///     .budget("acme/training", |b| b.hold("usd_micros", 40_000).cap("usd_micros", 5_000_000))
///     .prefer("region = eu")
///     .fairness_key("tenant-4")
///     .run_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
///     .queue_ttl(Duration::from_secs(24 * 3_600))
///     .attempt_timeout(Duration::from_secs(3_600))
///     .deadline(Duration::from_secs(7 * 24 * 3_600))
///     .lease_ttl(Duration::from_secs(60))
///     .max_crashes(3)
///     .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
///
/// let later = Submission::new("remind").payload(Payload::null()).delay(Duration::from_secs(3_600));
/// # let _ = (mail, training, later);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a submission does nothing until it is given to a client"]
pub struct Submission {
    request: SubmitRequest,
    unwritable: Option<String>,
}

/// How an execution spends from a budget. See [`Submission::budget`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "it counts for the submission that it is given back to"]
pub struct Spending(BudgetUse);

impl Spending {
    /// What each attempt holds at its start, in one dimension. Without any it is learned.
    pub fn hold(mut self, dimension: impl Into<String>, amount: u64) -> Self {
        put(&mut self.0.hold, dimension.into(), amount);
        self
    }

    /// The most that all attempts together may spend, in one dimension.
    pub fn cap(mut self, dimension: impl Into<String>, amount: u64) -> Self {
        put(&mut self.0.cap, dimension.into(), amount);
        self
    }

    /// The most that one attempt may spend, in one dimension.
    pub fn attempt_cap(mut self, dimension: impl Into<String>, amount: u64) -> Self {
        put(&mut self.0.attempt_cap, dimension.into(), amount);
        self
    }

    /// How long all attempts together may run.
    pub fn wall_clock_cap(self, most: Duration) -> Self {
        self.cap(stint_api::WALL_CLOCK_MS, ms(most))
    }
}

fn put(amounts: &mut Option<Amounts>, dimension: String, amount: u64) {
    amounts.get_or_insert_default().0.insert(dimension, amount);
}

impl Submission {
    /// Work for the handler of this kind, with the input `null`.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { request: SubmitRequest::new(kind, Payload::null()), unwritable: None }
    }

    /// What the handler gets. Submitting fails if it can't be written as JSON.
    pub fn input<T: Serialize + ?Sized>(mut self, input: &T) -> Self {
        match Payload::json(input) {
            Ok(payload) => self.request.input = payload,
            Err(error) => self.unwritable = Some(error.to_string()),
        }
        self
    }

    /// Bytes for the handler, with their content type.
    pub fn input_bytes(self, bytes: impl Into<Bytes>, content_type: impl Into<String>) -> Self {
        self.payload(Payload::bytes(bytes, content_type))
    }

    /// An input that is already a payload.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.request.input = payload;
        self
    }

    /// The queue it stands in.
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.request.lane = Some(lane.into());
        self
    }

    /// -100 to 100, higher first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.request.priority = Some(priority);
        self
    }

    /// Adds something a worker must be able to do: `gpu`, `region in (eu, us)`, `mem_gb >= 16`.
    pub fn requires(mut self, predicate: impl Into<String>) -> Self {
        self.request.requires.push(predicate.into());
        self
    }

    /// Adds something a worker should rather be able to do.
    pub fn prefer(mut self, predicate: impl Into<String>) -> Self {
        self.request.prefer.push(predicate.into());
        self
    }

    /// Not before this time. Excludes [`delay`](Self::delay).
    pub fn run_at(mut self, at: SystemTime) -> Self {
        let ms = match at.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        self.request.run_at = Some(Instant::from_millis(ms));
        self
    }

    /// Not before this long after submission. Excludes [`run_at`](Self::run_at).
    pub fn delay(mut self, delay: Duration) -> Self {
        self.request.delay_ms = Some(ms(delay));
        self
    }

    /// Gives up if no attempt has started this long after submission.
    pub fn queue_ttl(mut self, ttl: Duration) -> Self {
        self.request.queue_ttl_ms = Some(ms(ttl));
        self
    }

    /// How long one attempt may take.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.request.attempt_timeout_ms = Some(ms(timeout));
        self
    }

    /// How long the whole execution may take, from submission.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.request.deadline_ms = Some(ms(deadline));
        self
    }

    /// How long a lease lives without a heartbeat: how soon a dead worker's work goes to another.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.request.lease_ttl_ms = Some(ms(ttl));
        self
    }

    /// When a failed attempt is followed by another.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.request.retry = Some(retry);
        self
    }

    /// How many crashed attempts are followed by another.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.request.max_crashes = Some(crashes);
        self
    }

    /// Adds a budget that it may spend from, with what each attempt holds and what caps it. At most one of a tree.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stint::{Spending, Submission};
    ///
    /// let modest = |budget: Spending| {
    ///     budget
    ///         .hold("usd_micros", 20_000)
    ///         .cap("usd_micros", 500_000)
    ///         .attempt_cap("calls", 100)
    ///         .wall_clock_cap(Duration::from_secs(3_600))
    /// };
    /// let agent = Submission::new("agent").budget("acme/search/agent-7", modest);
    /// // What it holds is learned from what its kind has spent.
    /// let learned = Submission::new("agent").budget("acme/search", |budget| budget);
    /// # let _ = (agent, learned);
    /// ```
    pub fn budget(mut self, path: impl Into<String>, set: impl FnOnce(Spending) -> Spending) -> Self {
        let spending = set(Spending(BudgetUse { path: path.into(), ..BudgetUse::default() }));
        self.request.budgets.push(spending.0);
        self
    }

    /// Whose turn it takes when a lane is shared.
    pub fn fairness_key(mut self, key: impl Into<String>) -> Self {
        self.request.fairness_key = Some(key.into());
        self
    }

    /// Adds a tag to find it by.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.tags.insert(key.into(), value.into());
        self
    }

    /// The same key answers with the first execution, for as long as that is kept and at least a day.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.request.idempotency_key = Some(key.into());
        self
    }

    /// How long it is kept after its end.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.request.retention_ms = Some(ms(retention));
        self
    }

    /// W3C trace context, handed to the worker.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.request.traceparent = Some(traceparent.into());
        self
    }

    pub(crate) fn into_request(self) -> Result<SubmitRequest, Error> {
        if let Some(reason) = self.unwritable {
            return Err(Error::Payload { what: "the input", reason });
        }
        Ok(self.request)
    }
}

impl From<SubmitRequest> for Submission {
    /// A request that was read from somewhere, as it is.
    fn from(request: SubmitRequest) -> Self {
        Self { request, unwritable: None }
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
