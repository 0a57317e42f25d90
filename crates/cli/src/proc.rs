//! What the system knows about a process: CPU time, memory, bytes written.

use std::time::Duration;

use anyhow::{Context, Result};

/// A reading of `/proc/<pid>`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Resident bytes now.
    pub(crate) rss: u64,
    /// Bytes that went to the disk on its behalf.
    pub(crate) written: u64,
}

/// Reads them for a process id.
pub(crate) fn read(pid: u32) -> Result<Reading> {
    let file = |name: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| format!("process {pid}"))
    };
    let stat = file("stat")?;
    // The second field is the name in parentheses and may hold anything; user and system time are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).context("an unknown form of stat")?;
    let ticks = |field: usize| -> Result<u64> {
        let value = after_name.split_whitespace().nth(field - 3).context("a short stat")?;
        Ok(value.parse()?)
    };
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let cpu = Duration::from_millis((ticks(14)? + ticks(15)?) * 1_000 / per_second);
    let number = |text: &str, label: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next()?.parse().ok())
    };
    let rss = number(&file("status")?, "VmRSS:").unwrap_or(0) * 1_024;
    let written = number(&file("io")?, "write_bytes:").unwrap_or(0);
    Ok(Reading { cpu, rss, written })
}

/// Reads them for this process.
pub(crate) fn read_self() -> Result<Reading> {
    read(std::process::id())
}
