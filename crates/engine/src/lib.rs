//! The engine: 64 partitions as actors over a store, and what stands between them and the outside.
//!
//! An [`Engine`] takes requests of the API and answers them. Each becomes a command of `stint-core`, goes to its
//! partition's mailbox, runs there with whatever else has arrived, and is answered when the batch it ran in is
//! committed. Nothing leaves before that: no reply, no lease, no event.
//!
//! **Never here:** a rule about executions (they are all in `stint-core`), bytes on disk or on a wire (they are the
//! store's and the server's), real sleeping, or randomness and time that a test can't replace.
//!
//! **Where to look next:** `engine.rs` and `edge/` for what a request becomes; `exchange/` for what a worker says and
//! hears; [`hub`] for how ready work and waiting workers meet; `partition/` for batches, commits and conflicts;
//! `node.rs` for what the partitions share; `scanner/` for what tidies up behind them; [`backup`] for copies of it all.

mod backoff;
pub mod backup;
mod buckets;
mod clock;
mod config;
mod edge;
mod engine;
mod error;
mod exchange;
mod find;
mod forward;
pub mod hub;
pub mod inspect;
mod lanes;
mod meta;
mod node;
mod open;
mod partition;
mod random;
mod scanner;
mod stats;
mod waiters;
mod workers;

pub use buckets::{Buckets, Distribution};
pub use config::EngineConfig;
pub use engine::observe::{LaneObservation, Observation, ScannerStats};
pub use engine::{Engine, EventStream};
pub use error::{CallError, OpenError};
pub use forward::Peers;
pub use node::{Node, WeakNode};
pub use stats::NodeStats;
pub use stint_core::LaneCounts;
pub use waiters::Waiters;
