//! The real binary, from outside.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod budgets;
mod crash;
mod demo;
mod docs;
mod everyday;
mod runs;
mod serve;
mod spending;
mod store;
mod submit;
mod work;

use std::time::Duration;

use stint_test_support::{Process, ProcessBuilder};
use tempfile::TempDir;

/// Longer than anything here should take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);

/// `stint` with arguments to come.
fn stint() -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_stint"))
}

fn store(dir: &TempDir) -> String {
    format!("embedded:{}", dir.path().join("store").display())
}

/// Starts a server and returns it with its address.
fn serve(dir: &TempDir, listen: &str) -> (Process, String) {
    let server = stint().args(["serve", "--store", &store(dir), "--listen", listen]).spawn().unwrap();
    let line = server.wait_for_line(PATIENCE, |_| true).unwrap();
    let address = line.strip_prefix("stint listening on ").unwrap().to_owned();
    (server, address)
}
