//! Partitions as actors over a store, and what stands between them and the outside.

mod engine;
pub mod hub;
mod waiters;
mod workers;

pub use engine::Engine;
pub use waiters::Waiters;
