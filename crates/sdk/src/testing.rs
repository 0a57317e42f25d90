//! A whole Stint in memory, under a clock that only tests move. Needs the cargo feature `testing`.
//!
//! A [`TestEngine`] is the real engine, on a store in memory, with time that does not pass by itself: retries, delays,
//! deadlines, back-offs and leases that would take days take microseconds, and happen in the same order as they would.
//! It works in any `#[tokio::test]`.
//!
//! ```
//! use std::time::Duration;
//! use stint::testing::TestEngine;
//! use stint::{Context, Failure, Submission, Worker};
//! use stint::api::ExecutionState;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), stint::Error> {
//! let stint = TestEngine::start().await;
//! let worker = Worker::builder(stint.client())
//!     .handler("remind", async |_: Context, who: String| Ok::<_, Failure>(format!("Hello {who}")))
//!     .build()?;
//! let working = stint.work(worker);
//!
//! let day = Duration::from_secs(24 * 3600);
//! let reminder = Submission::new("remind").input("Ada").delay(3 * day);
//! let id = stint.client().submit(reminder).await?.id;
//!
//! stint.advance(2 * day).await;
//! assert_eq!(stint.client().execution(&id).await?.state, ExecutionState::Scheduled);
//! stint.advance(day).await;
//! assert_eq!(stint.client().execution(&id).await?.state, ExecutionState::Completed);
//!
//! working.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How time passes
//!
//! - [`TestEngine::advance`] goes from one thing that is due to the next, each at its own millisecond, and returns when
//!   all of it is done.
//! - Waiting passes time as well: while everything waits, for a result, a sleep or a time-out, the clock jumps to the
//!   earliest of them. So `client.result(&id).wait(week)` is answered at once, after as much of the week as it takes.
//! - Everything on the way really happens. A day in which a handler runs is 17,000 renewals of its lease, some seconds of a
//!   test; a longer `lease_ttl` makes it fewer. A day in which nothing runs is next to nothing.
//! - The clock does not know of the world outside. While a test or a handler waits for a socket, or a process, it holds
//!   the clock still with [`TestEngine::hold_clock`]; else time-outs are over before the world has answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stint_engine::{Engine, EngineConfig};
use stint_store::memory::{MemoryConfig, MemoryStore, StoreClock};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Client, Error, Randomness, Worker};

/// When every test begins, unless it says otherwise: 2026-01-01, midnight UTC.
const START: Duration = Duration::from_millis(1_767_225_600_000);

/// Every test draws the same ids and the same jitter.
const SEED: u64 = 7;

/// How often all tasks that can run are run before nothing is believed to be left. A reply takes some ten such turns
/// from a handler through the engine and back.
const TURNS: usize = 1_000;

/// How long it is watched, in real time, whether the clock stands still.
const GLANCE: Duration = Duration::from_micros(200);

/// An engine in memory, under a clock that stands still. See the [module](self).
#[derive(Debug)]
pub struct TestEngine {
    engine: EngineHandle,
    client: Client,
    started: Instant,
    start: SystemTime,
    holds: Arc<Holds>,
}

/// A worker that [`TestEngine::work`] has started. It is asked to stop when this is dropped.
#[derive(Debug)]
#[must_use = "the worker is asked to stop when this is dropped"]
pub struct Working {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), Error>>,
}

/// Keeps the clock still while it lives. See [`TestEngine::hold_clock`].
#[derive(Debug)]
pub struct ClockHold {
    holds: Arc<Holds>,
}

/// The engine, which says nothing of itself.
struct EngineHandle(Engine);

/// The clock is held while there are any.
#[derive(Debug, Default)]
struct Holds(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// A blocking task: while there is one, a paused clock does not move by itself.
    task: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl TestEngine {
    /// Stops the clock of this test, at midnight of 2026-01-01 UTC, and starts an engine.
    ///
    /// # Panics
    ///
    /// On a runtime of several threads, whose clock can't be stopped: `#[tokio::test]` without a `flavor` has one.
    pub async fn start() -> Self {
        Self::start_at(UNIX_EPOCH + START).await
    }

    /// As [`start`](Self::start), at another time.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use stint::testing::TestEngine;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let leap_day = UNIX_EPOCH + Duration::from_secs(1_835_395_200);
    /// let stint = TestEngine::start_at(leap_day).await;
    /// assert_eq!(stint.now(), leap_day);
    /// # }
    /// ```
    pub async fn start_at(start: SystemTime) -> Self {
        assert!(
            Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread,
            "a TestEngine needs a runtime of one thread, as `#[tokio::test]` without a `flavor` has it"
        );
        if !is_paused() {
            tokio::time::pause();
        }
        align_clock().await;
        let start_ms = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let clock = StoreClock::Virtual(i64::try_from(start_ms).unwrap_or(i64::MAX));
        let store = MemoryStore::new(MemoryConfig { exclusive: true, clock, ..MemoryConfig::default() });
        let started = Instant::now();
        let config = EngineConfig { seed: Some(SEED), ..EngineConfig::default() };
        let engine = match Engine::open(Arc::new(store), config).await {
            Ok(engine) => engine,
            Err(error) => panic!("a store in memory is always there: {error}"),
        };
        engine.opened().await;
        let client = Client::in_process_with(engine.clone(), Randomness::from_seed(SEED));
        let engine = EngineHandle(engine);
        let this = Self { engine, client, started, start, holds: Arc::default() };
        this.settle().await;
        this
    }

    /// A client of it, in the namespace `default`.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The engine itself, for clients of another namespace, or a transport of one's own.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use stint::Client;
    /// use stint::testing::{ClockHold, TestEngine, Working};
    /// use stint::transport::InProcess;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// let stint = TestEngine::start().await;
    /// let transport = Arc::new(InProcess::new(stint.engine().clone()));
    /// let client = Client::builder().transport(transport).namespace("billing").build()?;
    /// assert_eq!(client.namespace(), "billing");
    /// # Ok(())
    /// # }
    /// ```
    pub fn engine(&self) -> &Engine {
        &self.engine.0
    }

    /// The time by the engine's clock.
    pub fn now(&self) -> SystemTime {
        self.start + self.started.elapsed()
    }

    /// Lets time pass. Everything that is due on the way happens in its order, each thing at its own time: a retry that
    /// fails and is retried again, a lease that expires, a handler that sleeps. It returns when all that is due by then
    /// is done, and not a millisecond later. The clock counts whole milliseconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use stint::testing::TestEngine;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stint = TestEngine::start().await;
    /// let before = stint.now();
    /// stint.advance(Duration::from_secs(3 * 24 * 3600)).await;
    /// assert_eq!(stint.now(), before + Duration::from_secs(3 * 24 * 3600));
    /// # }
    /// ```
    pub async fn advance(&self, by: Duration) {
        self.settle().await;
        let until = Instant::now() + by;
        let held = self.holds.release().await;
        // All else is asleep, too, so the clock jumps from one timer to the next until it is this one's turn.
        tokio::time::sleep_until(until).await;
        self.holds.restore(held);
        self.settle().await;
    }

    /// Lets everything happen that can happen without time passing.
    ///
    /// ```
    /// # use stint::testing::TestEngine;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stint = TestEngine::start().await;
    /// let before = stint.now();
    /// stint.settle().await;
    /// assert_eq!(stint.now(), before);
    /// # }
    /// ```
    pub async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Starts a worker of this engine's client.
    ///
    /// ```
    /// # use stint::testing::TestEngine;
    /// # use stint::{Context, Failure, Submission, Worker};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// let stint = TestEngine::start().await;
    /// let hangs = Worker::builder(stint.client())
    ///     .handler("job", async |_: Context, (): ()| std::future::pending::<Result<u32, Failure>>().await)
    ///     .build()?;
    /// let first = stint.work(hangs);
    /// let id = stint.client().submit(Submission::new("job")).await?.id;
    /// stint.settle().await;
    ///
    /// // As if its machine had lost power: the lease expires, and another worker gets the work.
    /// first.crash();
    /// let works = Worker::builder(stint.client())
    ///     .handler("job", async |ctx: Context, (): ()| Ok::<_, Failure>(ctx.attempt()))
    ///     .build()?;
    /// let second = stint.work(works);
    /// stint.advance(Duration::from_secs(30)).await;
    /// let outcome = stint.client().result::<u32>(&id).wait(Duration::ZERO).await?;
    /// assert_eq!(outcome.into_output()?, 2);
    /// second.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn work(&self, worker: Worker) -> Working {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(worker.run(async move {
            // An error means that the handle is gone, which asks to stop just as well.
            let _ = stopped.await;
        }));
        Working { stop, run }
    }

    /// Keeps the clock still while the returned value lives, also while everything waits: for tests and handlers that
    /// wait for the world outside, such as a socket. [`advance`](Self::advance) moves it all the same.
    ///
    /// ```
    /// # use stint::testing::TestEngine;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let stint = TestEngine::start().await;
    /// let before = stint.now();
    /// let hold = stint.hold_clock();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let (connected, accepted) =
    ///     tokio::join!(tokio::net::TcpStream::connect(listener.local_addr()?), listener.accept());
    /// # connected?;
    /// # accepted?;
    /// drop(hold);
    /// assert_eq!(stint.now(), before);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the clock is held only while this lives"]
    pub fn hold_clock(&self) -> ClockHold {
        let mut held = self.holds.held();
        held.count += 1;
        held.begin();
        drop(held);
        ClockHold { holds: Arc::clone(&self.holds) }
    }

    /// Finishes what is under way and closes the engine. Not needed at the end of a test.
    ///
    /// ```
    /// # use stint::testing::TestEngine;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stint = TestEngine::start().await;
    /// let client = stint.client().clone();
    /// stint.close().await;
    /// assert_eq!(client.ready().await.unwrap_err().code(), "no_answer");
    /// # }
    /// ```
    pub async fn close(self) {
        self.engine.0.drain().await;
    }
}

impl Working {
    /// Lets its handlers finish within the worker's drain time-out, and ends it.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.stop);
        match self.run.await {
            Ok(ended) => ended,
            Err(error) => Err(Error::Configuration(format!("the worker did not end by itself: {error}"))),
        }
    }

    /// Ends it as a crash would: its handlers are gone, and the engine does not hear of it.
    pub fn crash(self) {
        self.run.abort();
    }
}

impl Holds {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the clock for a while, and says whether it was held.
    async fn release(&self) -> bool {
        let task = self.held().task.take();
        match task {
            Some((release, task)) => {
                drop(release);
                // It only waits for that, and can't fail.
                let _ = task.await;
                true
            }
            None => false,
        }
    }

    fn restore(&self, was_held: bool) {
        let mut held = self.held();
        if was_held && held.count > 0 {
            held.begin();
        }
    }
}

impl Held {
    fn begin(&mut self) {
        if self.task.is_none() {
            let (release, released) = mpsc::channel::<()>();
            let task = tokio::task::spawn_blocking(move || {
                // Nothing is ever sent: it ends when the sender is gone.
                let _ = released.recv();
            });
            self.task = Some((release, task));
        }
    }
}

impl Drop for ClockHold {
    fn drop(&mut self) {
        let mut held = self.holds.held();
        held.count -= 1;
        if held.count == 0 {
            held.task = None;
        }
    }
}

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Moves the clock to where the runtime's timers tick, once per millisecond. Else every sleep would end somewhat late, and
/// what is due after a second would be done after a second and a millisecond.
///
/// Nobody says where that is. But a sleep shorter than a millisecond takes one if it ends before the tick after the next,
/// else two: so the longest that takes one ends at a tick.
async fn align_clock() {
    const TICK_NS: u64 = 1_000_000;
    let (mut short, mut long) = (0, TICK_NS + 1);
    while long - short > 1 {
        let middle = short + (long - short) / 2;
        let before = Instant::now();
        tokio::time::sleep(Duration::from_nanos(middle)).await;
        if before.elapsed() > Duration::from_nanos(TICK_NS) {
            long = middle;
        } else {
            short = middle;
        }
    }
    tokio::time::advance(Duration::from_nanos(short)).await;
}

/// Whether the runtime's clock is stopped already, as by `start_paused`. There is no way to ask.
fn is_paused() -> bool {
    let (watch, glance) = (std::time::Instant::now(), Instant::now());
    while watch.elapsed() < GLANCE {
        std::hint::spin_loop();
    }
    glance.elapsed() < GLANCE / 2
}
