//! Client and worker for Stint, over HTTP or over an engine in the same process.

mod client;
mod error;
mod randomness;
mod retry;
mod session;
pub mod transport;
mod worker;

pub use client::{Client, ClientBuilder, LaneHandle, Outcome, ResultCall, Submission};
pub use error::Error;
pub use randomness::Randomness;
pub use stint_api as api;
pub use worker::{Context, Failure, Stopping, Worker, WorkerBuilder};
