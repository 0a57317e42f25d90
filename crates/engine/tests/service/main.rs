//! The engine as its callers see it, over a store in memory and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

mod backup;
mod bed;
mod budgets;
mod bulk;
mod cancel;
mod chaos;
mod corrections;
mod drain;
mod events;
mod exchange;
mod find;
mod idempotency;
mod lanes;
mod ledgers;
mod lifecycle;
mod logs;
mod order;
mod overspending;
mod queueing;
mod reconciling;
mod result;
mod retries;
mod steps;
mod why;
mod workers;
