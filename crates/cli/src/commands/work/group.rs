//! A program and everything it starts: one process group, which never outlives its attempt.

use rustix::process::{Pid, Signal, kill_process_group};

/// A process group that is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that this process leads.
    pub(super) fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// Asks it to stop (SIGTERM).
    pub(super) fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills what is left of it. Its number may be another's from then on, so this is done once.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // It fails if everybody has gone already.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
