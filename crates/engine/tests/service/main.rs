//! The engine as its callers see it, over a store in memory and in virtual time.

mod bed;
mod cancel;
mod drain;
mod exchange;
mod idempotency;
mod lanes;
mod lifecycle;
mod order;
mod result;
mod retries;
mod steps;
mod why;
