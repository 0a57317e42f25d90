//! A program and everything it starts: one process group, which never outlives its attempt.

use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group};

use super::guard::Guard;

/// A process group that is killed when this is dropped, and by the guard if this process is gone before.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
    guard: Arc<Guard>,
}

impl Group {
    /// The group that this process leads.
    pub(super) fn of(leader: Option<u32>, guard: Arc<Guard>) -> Self {
        let leader = leader.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            guard.watch(leader);
        }
        Self { leader, guard }
    }

    /// Asks it to stop (SIGTERM).
    pub(super) fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills what is left of it. Its number may be another's from then on, so this is done once.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(leader) = self.leader.take() {
            self.guard.forget(leader);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
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
