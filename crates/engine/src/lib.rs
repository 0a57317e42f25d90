//! Partitions as actors over a store, and what stands between them and the outside.

mod backoff;
mod clock;
mod config;
mod edge;
mod engine;
mod error;
mod exchange;
mod forward;
pub mod hub;
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

pub use config::EngineConfig;
pub use engine::Engine;
pub use error::{CallError, OpenError};
pub use forward::Peers;
pub use node::{Node, WeakNode};
pub use stats::NodeStats;
pub use waiters::Waiters;
