//! Client and worker for Stint, over HTTP or over an engine in the same process.
//!
//! A [`Client`] submits executions, asks about them and acts on them. A [`Worker`] leases executions and runs
//! handlers for them: async functions with typed input and output. The same code runs against a server and
//! against an engine in the same process.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use stint::{Client, Context, Failure, Submission, Worker};
//! use stint_engine::{Engine, EngineConfig};
//! use stint_store::memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // With a server this is `Client::connect("http://127.0.0.1:7400")?`.
//! let engine = Engine::open(Arc::new(MemoryStore::default()), EngineConfig::default()).await?;
//! let client = Client::in_process(engine.clone());
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
//! engine.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! What a caller may rely on:
//!
//! - A submission is durable when [`Client::submit`] returns, and is never made twice by the client's own
//!   repetitions: every request that changes something carries a key of its own.
//! - A handler runs at least once, and its execution ends exactly once. What must not happen twice goes into a
//!   [step](Context::step).
//! - A worker needs no heartbeats from its handlers, and never lets a handler run on after its lease may have
//!   ended, as long as the handler awaits something now and then.
//!
//! **Never here:** a rule of the engine, a default of a submission (absent fields are the server's to decide), a
//! clock other than tokio's, randomness other than [`Randomness`].
//!
//! **Where to look next:** [`transport`] for what is said and how it gets there, `worker/exchange.rs` for the
//! loop that speaks for a worker, `session.rs` for the keys.

mod client;
mod embedded;
mod error;
mod randomness;
mod retry;
mod session;
mod signal;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
mod worker;

pub use client::{Client, ClientBuilder, Items, LaneHandle, Outcome, ResultCall, Submission};
pub use embedded::Embedded;
pub use error::Error;
pub use randomness::Randomness;
pub use signal::shutdown_signal;
pub use stint_api as api;
pub use stint_api::Retry;
pub use worker::{Context, Failure, Stopping, Worker, WorkerBuilder};
