//! A process beside the worker that outlives it, whatever happens to it: `kill -9` leaves the worker no time to end its
//! programs, and a program that nobody speaks for must not go on when another attempt has begun.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::commands::connection::block_on;
use crate::signals::Interrupts;

/// The worker's end. While it is open the guard waits.
#[derive(Debug)]
pub(super) struct Guard(Mutex<ChildStdin>);

impl Guard {
    /// Starts it: this very program, in a group of its own, so that a terminal's Ctrl-C does not reach it.
    pub(super) fn start() -> Result<Self> {
        let child = Command::new("/proc/self/exe")
            .arg("work-guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the guard of the programs")?;
        let stdin = child.stdin.context("the guard of the programs has no input")?;
        Ok(Self(Mutex::new(stdin)))
    }

    /// From now on this group must not outlive the worker.
    pub(super) fn watch(&self, leader: Pid) {
        self.say(format_args!("+{}", leader.as_raw_nonzero()));
    }

    /// The group is gone.
    pub(super) fn forget(&self, leader: Pid) {
        self.say(format_args!("-{}", leader.as_raw_nonzero()));
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        let mut stdin = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has killed the guard gets programs without one.
        let _ = writeln!(stdin, "{what}");
    }
}

/// Waits for the worker's end, and kills what is left of its programs then.
pub(crate) fn run_guard() -> Result<()> {
    block_on(async {
        // Whoever asks all processes to end must not end this one first: it ends with the worker.
        let _kept = Interrupts::listen()?;
        let left = tokio::task::spawn_blocking(|| groups(std::io::stdin().lock())).await?;
        for leader in left.into_iter().filter_map(Pid::from_raw) {
            // It fails if everybody has gone already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
        Ok(())
    })
}

/// The groups that are watched when the input ends.
fn groups(input: impl BufRead) -> BTreeSet<i32> {
    let mut watched = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        let leader = line.get(1..).and_then(|id| id.parse().ok());
        match (line.as_bytes().first(), leader) {
            (Some(b'+'), Some(leader)) => watched.insert(leader),
            (Some(b'-'), Some(leader)) => watched.remove(&leader),
            _ => false,
        };
    }
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_not_ended_is_left() {
        let left = groups(&b"+12\n+13\n-12\nnonsense\n+\n+14\n"[..]);
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [13, 14]);
    }
}
