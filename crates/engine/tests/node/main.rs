//! A node over a store in memory: what is promised while the store works, and while it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

mod away;
mod bounds;
mod broken;
mod claims;
mod faults;
mod forwarding;
mod lanes;
mod levels;
mod reads;
mod support;
mod timers;
mod trimming;
mod walk;
