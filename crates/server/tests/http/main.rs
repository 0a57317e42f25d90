//! The HTTP API, over a real socket, on an engine whose store is memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

mod api;
mod bad_requests;
mod bend;
mod budgets;
mod client;
mod document;
mod events;
mod find;
mod fuzz;
mod journal;
mod lifecycle;
mod metrics;
mod protocol;
mod reference;
mod served;
mod shutdown;
mod work;
