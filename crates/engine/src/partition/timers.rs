//! What the clock has to do, to the millisecond: the projection says what is due, [`Timers`] what has to wait although
//! it is due.

use std::collections::BTreeMap;
use std::time::Duration;

use stint_core::command::{Elapse, Fire};
use stint_core::{Command, ExecutionId, Millis, PartitionId};
use tokio::time::Instant;

use super::Actor;
use super::job::{Job, To};

/// Executions whose timers run in one turn.
const TURN_MAX: usize = 256;

/// A timer that fails is tried again after this time.
const AGAIN_MS: Millis = 1_000;

/// So many failures, and it is quarantined.
const FAILURES_MAX: u32 = 3;

/// Waking so much later than asked for means that the process stood still.
const STALLED: Duration = Duration::from_secs(1);

/// Executions whose timers are held back.
#[derive(Default)]
pub(super) struct Timers {
    held: BTreeMap<ExecutionId, Held>,
    /// What is due of budgets, all together.
    budgets: Option<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    failures: u32,
    /// `None` waits for its command, or for good.
    until: Option<Millis>,
}

impl Timers {
    /// Its command has run; whether it is quarantined now.
    pub(super) fn fired(
        &mut self,
        partition: PartitionId,
        id: ExecutionId,
        progress: bool,
        now: Millis,
    ) -> bool {
        if progress {
            self.held.remove(&id);
            return false;
        }
        let held = self.held.entry(id).or_insert(Held { failures: 0, until: None });
        held.failures += 1;
        held.until = Some(now + AGAIN_MS);
        if held.failures >= FAILURES_MAX {
            held.until = None;
            tracing::error!(partition = partition.0, execution = %id, "its timer failed three times: quarantined");
        }
        held.failures == FAILURES_MAX
    }

    /// Its command was taken back.
    pub(super) fn undone(&mut self, id: ExecutionId) {
        if self.held.get(&id).is_some_and(|held| held.failures < FAILURES_MAX) {
            self.held.remove(&id);
        }
    }

    /// What was due of budgets has been done, or not; whether that is quarantined now.
    pub(super) fn elapsed(&mut self, partition: PartitionId, progress: bool, now: Millis) -> bool {
        if progress {
            self.budgets = None;
            return false;
        }
        let held = self.budgets.get_or_insert(Held { failures: 0, until: None });
        held.failures += 1;
        held.until = Some(now + AGAIN_MS).filter(|_| held.failures < FAILURES_MAX);
        if held.failures == FAILURES_MAX {
            tracing::error!(partition = partition.0, "the timers of budgets failed three times: quarantined");
        }
        held.failures == FAILURES_MAX
    }

    /// It was taken back.
    pub(super) fn elapse_undone(&mut self) {
        if self.budgets.is_some_and(|held| held.failures < FAILURES_MAX) {
            self.budgets = None;
        }
    }

    /// Lets go of what was to be tried again, or was quarantined, and is not due any more.
    fn let_go(&mut self, now: Millis, is_due: impl Fn(ExecutionId) -> bool) {
        self.held.retain(|id, held| {
            let waits = match held.until {
                Some(until) => until > now,
                None => held.failures < FAILURES_MAX,
            };
            waits || is_due(*id)
        });
    }

    /// Whether it failed too often.
    pub(super) fn is_quarantined(&self, id: ExecutionId) -> bool {
        self.held.get(&id).is_some_and(|held| held.failures >= FAILURES_MAX)
    }

    fn is_held(&self, id: ExecutionId, now: Millis) -> bool {
        self.held.get(&id).is_some_and(|held| held.until.is_none_or(|until| until > now))
    }
}

impl Actor {
    /// Runs what is due, unless no heartbeat could be taken lately: then it may not be due after all.
    pub(super) fn fire_due(&mut self) {
        if !self.timers.held.is_empty() {
            let (projection, now) = (&self.projection, self.now);
            let due = |id| projection.execution(id)?.next_due(projection.able_since());
            self.timers.let_go(now, |id| due(id).is_some_and(|due| due <= now));
        }
        let (executions, budgets) = (self.projection.next_due(), self.projection.budgets_next_due());
        if executions.into_iter().chain(budgets).min().is_none_or(|due| due > self.now) {
            return;
        }
        if self.blocked() || self.draining.is_some() || self.rest.is_some() {
            return;
        }
        let waits = |held: Held| held.until.is_none_or(|until| until > self.now);
        if budgets.is_some_and(|due| due <= self.now)
            && !self.timers.budgets.is_some_and(waits)
            && self.open.has_room()
        {
            self.timers.budgets.get_or_insert(Held { failures: 0, until: None }).until = None;
            self.accept(Job::run(Command::Elapse(Elapse), To::Budgets));
        }
        let due = self.projection.due(self.now, TURN_MAX + self.timers.held.len());
        for id in due {
            if !self.open.has_room() {
                return;
            }
            if !self.timers.is_held(id, self.now) {
                let held = self.timers.held.entry(id).or_insert(Held { failures: 0, until: None });
                held.until = None;
                self.accept(Job::run(Command::Fire(Fire { id }), To::Timer(id)));
            }
        }
    }

    /// Sets the timer to when something is due next.
    pub(super) fn arm_timer(&mut self) {
        let due = self.wake_at().map(|due| {
            let wait = u64::try_from(due - self.now).unwrap_or(0);
            Instant::now() + Duration::from_millis(wait)
        });
        let Some(at) = due.into_iter().chain(self.patient_until()).min() else { return };
        // A timer that fires too early is set again; so it moves only when something is due earlier.
        if self.armed.is_none_or(|armed| at < armed) {
            self.timer.as_mut().reset(at);
            self.armed = Some(at);
        }
    }

    /// When to look at what is due.
    fn wake_at(&self) -> Option<Millis> {
        if let Some(rest) = &self.rest {
            return Some(rest.until());
        }
        let budgets = match self.timers.budgets {
            Some(held) => held.until,
            None => self.projection.budgets_next_due(),
        };
        let Some(mut due) = self.projection.next_due() else {
            return budgets.filter(|due| {
                !(self.blocked() || self.draining.is_some() || *due <= self.now && !self.open.has_room())
            });
        };
        due = budgets.map_or(due, |budgets| budgets.min(due));
        if self.blocked() || self.draining.is_some() || due <= self.now && !self.open.has_room() {
            return None;
        }
        if !self.timers.held.is_empty() {
            let first = self.projection.due(Millis::MAX, self.timers.held.len() + 1);
            let free = first.into_iter().find(|id| !self.timers.held.contains_key(id));
            let free =
                free.and_then(|id| self.projection.execution(id)?.next_due(self.projection.able_since()));
            let held = self.timers.held.values().filter_map(|held| held.until);
            due = held.chain(free).chain(budgets).min()?;
        }
        Some(due)
    }

    /// Sees whether the timer's time has come, before anything else is done: what the clock and the store owe is then
    /// looked up.
    pub(super) fn look_at_the_timer(&mut self) {
        let Some(armed) = self.armed else { return };
        let late = Instant::now().checked_duration_since(armed);
        let Some(late) = late else { return };
        self.armed = None;
        if late > STALLED {
            // The whole process stood still, so workers could not be heard.
            self.projection.set_able_since(self.now);
        }
        self.lose_patience();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: PartitionId = PartitionId(1);
    const ID: ExecutionId = ExecutionId([1; 16]);

    #[test]
    fn a_timer_that_fails_is_tried_again_and_quarantined_after_three_times() {
        let mut timers = Timers::default();
        for failure in 1..=3 {
            let now = failure * 10_000;
            assert_eq!(timers.fired(HERE, ID, false, now), failure == 3);
            assert!(timers.is_held(ID, now + AGAIN_MS - 1));
            assert_eq!(timers.is_held(ID, now + AGAIN_MS), failure == 3);
            assert_eq!(timers.is_quarantined(ID), failure == 3);
        }
        timers.undone(ID);
        assert!(timers.is_held(ID, Millis::MAX));
    }

    #[test]
    fn what_is_not_due_any_more_is_let_go() {
        let mut timers = Timers::default();
        let [again, given_up, waits] = [2, 3, 4].map(|n| ExecutionId([n; 16]));
        timers.fired(HERE, again, false, 0);
        (0..FAILURES_MAX).for_each(|_| _ = timers.fired(HERE, given_up, false, 0));
        timers.held.insert(waits, Held { failures: 0, until: None });
        timers.let_go(AGAIN_MS - 1, |id| id == given_up);
        assert_eq!(timers.held.len(), 3);
        timers.let_go(AGAIN_MS, |id| id == again);
        assert!(timers.held.keys().eq([&again, &waits]));
        timers.let_go(AGAIN_MS, |_| false);
        assert!(timers.held.keys().eq([&waits]));
    }

    #[test]
    fn a_timer_that_got_forward_or_was_taken_back_is_free_again() {
        let mut timers = Timers::default();
        timers.fired(HERE, ID, false, 0);
        timers.fired(HERE, ID, true, 0);
        assert!(!timers.is_held(ID, 0));
        timers.fired(HERE, ID, false, 0);
        timers.undone(ID);
        assert!(!timers.is_held(ID, 0));
    }
}
