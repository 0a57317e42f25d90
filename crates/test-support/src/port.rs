//! A free port.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// A loopback TCP port that was free a moment ago. Someone else may take it before you do, so try again with
/// another one if binding fails.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("bind a free port")?;
    Ok(listener.local_addr()?.port())
}
