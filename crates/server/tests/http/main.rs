//! The HTTP API, over a real socket, on an engine whose store is memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

mod api;
mod bad_requests;
mod client;
mod document;
mod events;
mod find;
mod journal;
mod lifecycle;
mod protocol;
mod served;
mod work;
