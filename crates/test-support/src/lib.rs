//! Real servers and processes for tests, on free loopback ports, gone when the test is gone.
//!
//! Everything here blocks and uses no runtime, so any test can use it. Whatever is started dies with its
//! handle, and also if the test process itself is killed: each child has a tiny shell above it that waits for
//! our end of a pipe to close.
//!
//! **Never here:** a default port, a server shared between test processes, a skipped test. A missing binary is
//! an error that names `scripts/setup`.
//!
//! **Where to look next:** [`Server`] and [`Cluster`] for Valkey and Redis, [`Process`] for any other program,
//! [`free_port`] for a port.

mod binary;
mod cluster;
mod port;
mod process;
mod server;
mod wire;

pub use cluster::Cluster;
pub use port::free_port;
pub use process::{Process, ProcessBuilder};
pub use server::{Flavour, Server};
