//! The HTTP API over an engine.
//!
//! This crate turns requests into calls of [`stint_engine::Engine`] and their results into replies. It holds
//! no rule and no state of its own: what an endpoint does is the engine's business, what its fields are is
//! `stint-api`'s. It listens on loopback only, because there are no API keys yet.
//!
//! Where to look next: [`Server`] for its life, `routes/<resource>/<verb>.rs` for an endpoint, `extract.rs`
//! for how bodies, headers and queries are read, `docs/API.md` for what a user sees.

mod access;
mod body;
mod connection;
mod document;
mod endpoints;
mod extract;
mod feed;
mod filter;
mod guard;
mod listen;
mod memory;
mod meter;
mod metric_definitions;
mod metrics;
mod page;
mod problems;
mod query;
mod reply;
mod request_id;
mod routes;
mod watch;

pub use listen::{BindError, Server, ServerConfig, check_address};
pub use metric_definitions::{METRICS, MetricDefinition, MetricKind};
