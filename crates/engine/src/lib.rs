//! Partitions as actors over a store, and what stands between them and the outside.

mod engine;
pub mod hub;

pub use engine::Engine;
