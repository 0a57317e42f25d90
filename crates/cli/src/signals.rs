//! What ends a process from outside.

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, heard from [`Interrupts::listen`] on.
pub(crate) struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupts {
    /// Begins to listen: a signal that comes before somebody waits is kept.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Is ready at the first of them.
    pub(crate) async fn heard(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Is ready when standard input ends: the parent closed it or is gone, in whatever way.
pub(crate) async fn parent_gone() {
    let mut buffer = [0; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
