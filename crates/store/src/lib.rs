//! What Stint asks of a store, and the stores that answer.
//!
//! A store keeps bytes per *partition* and commits a batch if the partition's [`Head`] is still the one
//! the batch was computed from. It knows nothing about executions: every rule lives in `stint-core`.
//!
//! **Never here:** a rule, a decision about an execution, a clock other than the store's own, a retry that
//! could apply a batch twice.
//!
//! **Where to look next:** [`contract`] says what a backend must do, [`conformance`] proves that it does,
//! and [`memory`], [`embedded`] and [`valkey`] do it.

mod around;
mod clock;
pub mod conformance;
pub mod contract;
pub mod embedded;
pub mod memory;
pub mod raw;
pub mod recording;
pub mod valkey;

pub use around::Around;
pub use contract::*;
