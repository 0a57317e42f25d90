//! Client and worker for Stint, over HTTP or over an engine in the same process.
//!
//! A [`Client`] submits executions, asks about them and acts on them. A [`Worker`] leases executions and runs
//! handlers for them: async functions with typed input and output. The same code runs against a server, against an
//! engine inside the program ([`Embedded`]), and in tests under a clock of their own (`stint::testing`, with the cargo
//! feature `testing`).
//!
//! ```
//! use std::time::Duration;
//!
//! use stint::{Context, Embedded, Failure, Submission, Worker};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // With a server this is `let client = Client::connect("http://127.0.0.1:7400")?;`.
//! let stint = Embedded::in_memory().await?;
//! let client = stint.client();
//!
//! let worker = Worker::builder(&client)
//!     .handler("greet", async |ctx: Context, name: String| {
//!         // A step runs once, however often the attempt around it is repeated.
//!         let number = ctx.step("draw", || async { Ok(4) }).await?;
//!         Ok::<_, Failure>(format!("Hello {name}, your number is {number}"))
//!     })
//!     .build()?;
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let working = tokio::spawn(worker.run(async move {
//!     let _ = stopped.await;
//! }));
//!
//! let submitted = client.submit(Submission::new("greet").input("Ada")).await?;
//! let outcome = client.result::<String>(&submitted.id).wait(Duration::from_secs(10)).await?;
//! assert_eq!(outcome.into_output()?, "Hello Ada, your number is 4");
//!
//! drop(stop);
//! working.await??;
//! stint.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller may rely on
//!
//! - A submission is durable when [`Client::submit`] returns, and is never made twice by the client's own
//!   repetitions: every request that changes something carries a key of its own, also to another server.
//! - A handler runs at least once, and its execution ends exactly once. What must not happen twice goes into a
//!   [step](Context::step).
//! - A worker needs no heartbeats from its handlers. It never lets a handler run on after its lease may have ended, as
//!   long as the handler awaits something now and then.
//! - An outage of the servers ends no handler: while it is certain that no server is there, nobody can give the work to
//!   another, and a server that is back gives every lease its whole time again. Silence is not an outage: behind a
//!   broken network a server may be giving the work away, so the handler is stopped before its lease ends.
//!
//! # Several servers
//!
//! A client takes [several addresses](ClientBuilder::address) of servers that share a store. It begins with one of them,
//! stays there while that works, and goes on with the next when it does not: at once if the request was not sent, and
//! else after a short wait, under the same key. Give all of them: only then does a worker know an outage for certain.
//!
//! # Many submissions
//!
//! [`Client::submit_batch`] submits up to 1,000 in one request. Submissions that a program makes at once by
//! [`Client::submit`] travel together by themselves, over HTTP: a few are under way on their own, and those that come
//! meanwhile go in one request.
//!
//! # Examples
//!
//! In `examples/`, each run by a test: `hello_worker`, `paid_steps` (a call that is paid once, in spite of a crash),
//! `budgeted_agent` (parked when the money is gone),
//! `embedded`, `file_batch` (many files, with progress), `cancellation` (with its grace period), `virtual_clock` (tests
//! of what takes days). `docs/WORKERS.md` tells all of it in order.
//!
//! **Never here:** a rule of the engine, a default of a submission (absent fields are the server's to decide), a
//! clock other than tokio's, randomness other than [`Randomness`].
//!
//! **Where to look next:** [`transport`] for what is said and how it gets there, `worker/exchange.rs` for the
//! loop that speaks for a worker, `session.rs` for the keys, `client/gather.rs` for batches.

mod charge;
mod client;
mod embedded;
mod error;
mod far;
mod randomness;
mod retry;
mod session;
mod signal;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
mod usage;
mod worker;

/// The guide's examples are tested as the crate's own are.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/WORKERS.md")]
struct Guide;

pub use charge::Charge;
pub use client::{
    BudgetHandle, Client, ClientBuilder, HoldHandle, Items, LaneHandle, NamespaceHandle, Outcome, ResultCall,
    Spending, Submission,
};
pub use embedded::Embedded;
pub use error::Error;
pub use randomness::Randomness;
pub use signal::shutdown_signal;
pub use stint_api as api;
pub use stint_api::{Amounts, Retry, Usage};
pub use usage::{Meter, Reported};
pub use worker::{Context, Failure, Stopping, Worker, WorkerBuilder};
