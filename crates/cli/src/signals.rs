//! What ends a process from outside.

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Is ready at the first SIGINT or SIGTERM.
pub(crate) async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Is ready when standard input ends: the parent closed it or is gone, in whatever way.
pub(crate) async fn parent_gone() {
    let mut buffer = [0; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
