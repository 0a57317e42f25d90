//! What a handler knows about its attempt, and what it can do in it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use stint_api::{HeldBudget, LeasedExecution, Payload, Problem, Progress, StepEntry, StepReply, StopAction};
use tokio::sync::{oneshot, watch};

use super::Failure;
use super::event::{Event, Events};
use super::held::parks;
use super::purse::Purse;
use super::spend::in_step;

/// An attempt, from inside its handler. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use stint::{Context, Failure, Stopping};
///
/// async fn handler(ctx: Context, pages: u32) -> Result<u32, Failure> {
///     ctx.log(format!("attempt {} of {} ({})", ctx.attempt(), ctx.execution_id(), ctx.kind()));
///     println!("from lane {} of {}, with {:?}", ctx.lane(), ctx.namespace(), ctx.tags());
///     println!("since {:?}, until {:?}, for {:?}", ctx.submitted_at(), ctx.deadline(), ctx.traceparent());
///     println!("with money: {:?}", ctx.held());
///
///     // What is paid for is journaled, and has a key that is the same in every attempt.
///     let key = ctx.step_key("charge");
///     let paid = ctx
///         .step_or_reconcile("charge", || charge(&key), || find_charge(&key))
///         .await?;
///
///     for page in 0..pages {
///         if ctx.is_cancelled() {
///             return Err(Failure::new("stopped", "as asked"));
///         }
///         ctx.progress((page * 100 / pages) as u8, format!("page {page}"));
///         tokio::select! {
///             stopping = ctx.cancelled() => {
///                 let Stopping { reason, grace, .. } = stopping;
///                 return Err(Failure::new("stopped", format!("{reason}, {grace:?} left")));
///             }
///             // Awaits something now and then: a handler is stopped at an await, and only there.
///             () = tokio::time::sleep(Duration::from_millis(1)) => {}
///         }
///     }
///     Ok(paid)
/// }
///
/// async fn charge(key: &str) -> Result<u32, Failure> {
///     println!("charging under {key}");
///     Ok(250)
/// }
///
/// /// Asks the provider whether it knows of a charge under this key.
/// async fn find_charge(_key: &str) -> Result<Option<u32>, Failure> {
///     Ok(None)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// # let worker = stint::Worker::builder(&client).handler("pay", handler).build()?;
/// # tokio::spawn(worker.run(std::future::pending()));
/// # let id = client.submit(stint::Submission::new("pay").input(&3)).await?.id;
/// # let paid = client.result::<u32>(id).wait(Duration::from_secs(10)).await?.into_output()?;
/// # assert_eq!(paid, 250);
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Context {
    pub(super) attempt: Arc<Attempt>,
}

/// Why and how soon a handler should stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stopping {
    /// What the server says.
    pub reason: String,
    /// After this the handler is dropped and the lease is gone.
    pub grace: Duration,
    /// What becomes of the execution. For `suspend` it is parked, whatever error the handler returns, and goes on from its
    /// journal when there is money again.
    pub action: StopAction,
}

/// Which attempt a handler runs, under which lease.
pub(super) struct Started {
    pub(super) number: u32,
    pub(super) lease: Arc<str>,
    /// Tells the lease from all others of its execution, and is no secret.
    pub(super) place: String,
    pub(super) money: Vec<HeldBudget>,
}

pub(super) struct Attempt {
    pub(super) execution: LeasedExecution,
    number: u32,
    pub(super) lease: Arc<str>,
    pub(super) purse: Purse,
    held: Vec<HeldBudget>,
    /// Results of earlier attempts; a step found here is not asked about.
    journal: Mutex<BTreeMap<String, Payload>>,
    stopping: watch::Receiver<Option<Stopping>>,
    events: Events,
}

impl Context {
    pub(super) fn new(
        execution: LeasedExecution,
        started: Started,
        steps: Vec<StepEntry>,
        stopping: watch::Receiver<Option<Stopping>>,
        events: Events,
    ) -> Self {
        let journal = steps.into_iter().filter_map(|step| Some((step.key, step.result?))).collect();
        let journal = Mutex::new(journal);
        let Started { number, lease, place, money: held } = started;
        let purse = Purse::new(place);
        Self {
            attempt: Arc::new(Attempt { execution, number, lease, purse, held, journal, stopping, events }),
        }
    }

    /// The execution's id.
    pub fn execution_id(&self) -> &str {
        &self.attempt.execution.id
    }

    /// The execution's kind.
    pub fn kind(&self) -> &str {
        &self.attempt.execution.kind
    }

    /// The lane it came from.
    pub fn lane(&self) -> &str {
        &self.attempt.execution.lane
    }

    /// Whose it is.
    pub fn namespace(&self) -> &str {
        &self.attempt.execution.namespace
    }

    /// Its tags.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.attempt.execution.tags
    }

    /// W3C trace context of the submitter.
    pub fn traceparent(&self) -> Option<&str> {
        self.attempt.execution.traceparent.as_deref()
    }

    /// When it was submitted.
    pub fn submitted_at(&self) -> SystemTime {
        system_time(self.attempt.execution.submitted_at.millis())
    }

    /// When the whole execution must have ended.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.attempt.execution.deadline.map(|at| system_time(at.millis()))
    }

    /// What was held for this attempt when it was leased, by budget: less than it wants where its caps leave less.
    pub fn held(&self) -> &[HeldBudget] {
        &self.attempt.held
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// An idempotency key for the side effects of a step: the same in every attempt, different for every
    /// execution.
    pub fn step_key(&self, key: &str) -> String {
        format!("{}/{key}", self.attempt.execution.id)
    }

    /// Runs a journaled step. If an earlier attempt recorded its result, that is returned and nothing runs. If
    /// an earlier attempt began it and never said how it ended, it runs again: hand [`step_key`](Self::step_key)
    /// to whatever it calls, so that this does no harm.
    ///
    /// The result is recorded before the next step begins or the attempt ends, whichever is first, in the same
    /// exchange with the server. A step that fails is not recorded.
    ///
    /// When the execution's budget has stopped it, no further step begins: this fails, and with that error the handler
    /// ends without having failed. It is parked, and goes on from its journal when there is money again.
    pub async fn step<T, Run, Running>(&self, key: &str, run: Run) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        Run: FnOnce() -> Running,
        Running: Future<Output = Result<T, Failure>>,
    {
        match self.begin(key).await? {
            StepReply::Result(stored) => read(key, &stored),
            StepReply::Run | StepReply::Unknown => {
                self.run(key, in_step(&self.attempt.purse, key, run).await?)
            }
        }
    }

    /// Like [`step`](Self::step), but where an earlier attempt began the step and never said how it ended,
    /// `reconcile` is asked first what became of it. Only if it answers `None`, the step runs again.
    pub async fn step_or_reconcile<T, Run, Running, Reconcile, Reconciling>(
        &self,
        key: &str,
        run: Run,
        reconcile: Reconcile,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        Run: FnOnce() -> Running,
        Running: Future<Output = Result<T, Failure>>,
        Reconcile: FnOnce() -> Reconciling,
        Reconciling: Future<Output = Result<Option<T>, Failure>>,
    {
        match self.begin(key).await? {
            StepReply::Result(stored) => read(key, &stored),
            StepReply::Run => self.run(key, in_step(&self.attempt.purse, key, run).await?),
            StepReply::Unknown => match in_step(&self.attempt.purse, key, reconcile).await? {
                Some(found) => self.run(key, found),
                None => self.run(key, in_step(&self.attempt.purse, key, run).await?),
            },
        }
    }

    /// Reports how far the attempt has come. Reports are sent at most once a second, the last one wins.
    pub fn progress(&self, percent: u8, message: impl Into<String>) {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(stint_api::PROGRESS_MESSAGE_BYTES));
        let message = (!message.is_empty()).then_some(message);
        let progress = Progress { percent: Some(percent.min(100)), message };
        self.tell(Event::Progress { lease: Arc::clone(&self.attempt.lease), progress });
    }

    /// Writes to the execution's log: text for people, kept with the execution, by attempt. Lines are sent within a
    /// second, and before the attempt ends. A log holds 1 MiB; what is beyond that is lost.
    pub fn log(&self, text: impl AsRef<str>) {
        let cut = |line: &str| {
            let end = line.floor_char_boundary(stint_api::LOG_LINE_BYTES);
            line.get(..end).unwrap_or_default().to_owned()
        };
        let lines: Vec<String> = text.as_ref().lines().map(cut).collect();
        if !lines.is_empty() {
            self.tell(Event::Logged { lease: Arc::clone(&self.attempt.lease), lines });
        }
    }

    /// Waits until the handler is asked to stop (a cancel, a time-out, a pause), and says why. What the handler
    /// returns within the grace period still counts.
    pub async fn cancelled(&self) -> Stopping {
        let mut stopping = self.attempt.stopping.clone();
        let seen = stopping.wait_for(Option::is_some).await.ok().and_then(|stop| stop.clone());
        match seen {
            Some(stop) => stop,
            // The loop is gone: this handler is about to be dropped.
            None => std::future::pending().await,
        }
    }

    /// Whether the handler is asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.stopping.borrow().is_some()
    }

    /// Fails if the budget of the execution has stopped it.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        let stopping = self.attempt.stopping.borrow();
        match stopping.as_ref().filter(|stopping| parks(Some(stopping))) {
            Some(stopping) => Err(Failure::new("suspended", stopping.reason.clone())),
            None => Ok(()),
        }
    }

    async fn begin(&self, key: &str) -> Result<StepReply, Failure> {
        self.go_on()?;
        let stored = self.attempt.journal.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(stored) = stored {
            return Ok(StepReply::Result(stored));
        }
        let (answer, answered) = oneshot::channel();
        let lease = Arc::clone(&self.attempt.lease);
        self.tell(Event::StepBegun { lease, key: key.to_owned(), answer });
        match answered.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(problem)) => Err(refused(key, &problem)),
            // Nobody is left who could answer: this handler is about to be dropped.
            Err(_) => std::future::pending().await,
        }
    }

    fn run<T: Serialize>(&self, key: &str, value: T) -> Result<T, Failure> {
        let output = Payload::json(&value)
            .map_err(|error| Failure::new("invalid_output", format!("step `{key}`: {error}")).no_retry())?;
        self.attempt
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.to_owned(), output.clone());
        let lease = Arc::clone(&self.attempt.lease);
        self.tell(Event::StepRun { lease, key: key.to_owned(), output });
        Ok(value)
    }

    pub(super) fn tell(&self, event: Event) {
        // Without a loop nobody listens, and nothing of this attempt counts any more.
        let _ = self.attempt.events.send(event);
    }
}

impl fmt::Debug for Context {
    // The lease is a secret and stays out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("execution", &self.attempt.execution.id)
            .field("kind", &self.attempt.execution.kind)
            .field("attempt", &self.attempt.number)
            .finish_non_exhaustive()
    }
}

fn read<T: DeserializeOwned>(key: &str, stored: &Payload) -> Result<T, Failure> {
    stored.parse().map_err(|error| {
        let message = format!("the stored result of step `{key}` is of another type: {error}");
        Failure::new("step_mismatch", message).no_retry()
    })
}

fn refused(key: &str, problem: &Problem) -> Failure {
    Failure::new(
        problem.code.as_str(),
        format!("step `{key}`: {}. {}", problem.detail, problem.remedy_text()),
    )
}

fn system_time(ms: i64) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let at = if ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    at.unwrap_or(UNIX_EPOCH)
}
