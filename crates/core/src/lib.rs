//! The rules of Stint: what a submission, a claim, a failure, a paused lane does to a partition.
//!
//! A partition is a deterministic state machine over a small keyspace. [`execute`] runs one [`Command`] on a
//! [`Partition`] (the projection of its live records), collects what changes in a [`Txn`], and answers with an
//! [`Outcome`] or a [`Refusal`]. The caller commits the Txn's writes, or undoes it.
//!
//! **Never here:** I/O, clocks, randomness, threads, floats, hash iteration. `now`, fresh ids and the cold records a
//! command needs come in with it ([`Inputs`]). Nothing here knows what a store, a socket or a JSON document is.
//!
//! **Where to look next:** [`model`] says what things are; each file in `command/` says what one command does to
//! them; [`Partition::put`] keeps every index.

#![deny(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used,
    clippy::expect_used
)]

pub mod command;
pub mod event;
pub mod find;
pub mod ids;
pub mod key;
pub mod model;
mod partition;
mod txn;

#[cfg(test)]
extern crate self as stint_core;
#[cfg(test)]
#[path = "../tests/bed/mod.rs"]
mod bed;

pub use command::{Command, Outcome, Refusal, execute};
pub use event::{Event, EventKind};
pub use ids::{BulkId, ExecutionId, HoldId, LeaseRef, LeaseToken, PartitionId, RequestId};
pub use key::{Key, Table};
pub use partition::{Corrupt, LATE_MAX, LaneCounts, LaneStanding, LedgerWork, Partition, ReadyGroup};
pub use txn::{ColdRead, ColdReads, Inputs, Savepoint, Txn, Write};

/// Partitions of every store.
pub const PARTITIONS: u8 = 64;

/// Version of records and rules that this build writes.
pub const LEVEL: u32 = 1;

/// Milliseconds; every instant in core is ms since 1970 UTC.
pub type Millis = i64;
