//! A model of the rules that is too plain to be wrong: a list, no indexes, every question answered by looking at all.

#![allow(unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

/// One execution as the model knows it.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: ExecutionId,
    pub lane: String,
    pub kind: String,
    pub requires: Vec<Requirement>,
    pub policy: Policy,
    pub priority: i8,
    pub fairness_key: Option<String>,
    pub tag_us: i64,
    pub order: Millis,
    /// Its place without a priority.
    pub tag: Millis,
    pub state: State,
    pub paused: bool,
    pub alive_since: Millis,
    pub due_at: Millis,
    pub attempt: u32,
    pub failures: u32,
    pub crashes: u32,
    pub epoch: u32,
    pub token: Option<LeaseToken>,
    pub granted_at: Millis,
    pub renewed_at: Millis,
    pub stop_at: Option<Millis>,
    /// What workers said, by epoch: the word, the token, the state it led to.
    pub said: BTreeMap<u32, (String, LeaseToken, State)>,
}

#[derive(Default)]
pub struct Model {
    pub tasks: Vec<Task>,
    pub lanes: BTreeMap<String, LaneSettings>,
    pub able_since: Millis,
}

/// Refusals by name.
pub type Answer<T> = Result<T, &'static str>;

/// What a worker says.
pub enum Word<'a> {
    Complete(&'a str),
    Fail { error_type: &'a str, retry: Option<bool>, retry_after_ms: Option<Millis> },
    Release,
}

impl Task {
    fn open(&self) -> bool {
        !self.state.is_end()
    }

    fn dues(&self, able_since: Millis) -> [Option<Millis>; 6] {
        let running = self.state == State::Running;
        let waiting = matches!(self.state, State::Scheduled | State::Ready);
        let p = &self.policy;
        [
            p.deadline_ms.map(|ms| self.alive_since + ms).filter(|_| self.open()),
            p.queue_ttl_ms.map(|ms| self.alive_since + ms).filter(|_| waiting && self.attempt == 0),
            self.stop_at.filter(|_| running),
            p.attempt_timeout_ms.map(|ms| self.granted_at + ms).filter(|_| running),
            Some(self.renewed_at.max(able_since) + p.lease_ttl_ms).filter(|_| running),
            Some(self.due_at).filter(|_| self.state == State::Scheduled),
        ]
    }
}

impl Model {
    pub fn task(&self, id: ExecutionId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    fn settings(&self, lane: &str) -> LaneSettings {
        self.lanes.get(lane).cloned().unwrap_or_default()
    }

    /// The place of work that becomes ready now.
    fn enqueue(&self, task: &mut Task, now: Millis) {
        let settings = self.settings(&task.lane);
        let mut from = now;
        if let Some(key) = &task.fairness_key {
            let turn = |t: &Task| t.open() && t.state != State::Scheduled;
            let same = |t: &&Task| turn(t) && t.lane == task.lane && t.fairness_key.as_ref() == Some(key);
            let last = self.tasks.iter().filter(same).map(|t| t.tag_us).max();
            let turn = 1_000_000 / i64::from(settings.weights.get(key).copied().unwrap_or(1));
            task.tag_us = last.map_or(now * 1_000, |last| (now * 1_000).max(last + turn));
            from = task.tag_us / 1_000;
        }
        task.tag = from;
        task.order = from - i64::from(task.priority) * settings.age_step_ms.unwrap_or(600_000);
        task.state = State::Ready;
    }

    fn change<T>(&mut self, id: ExecutionId, change: impl FnOnce(&Self, &mut Task) -> T) -> T {
        let at = self.tasks.iter().position(|task| task.id == id).unwrap();
        let mut task = self.tasks[at].clone();
        let result = change(self, &mut task);
        self.tasks[at] = task;
        result
    }

    pub fn submit(&mut self, s: &Submission, now: Millis) -> Answer<State> {
        let settings = self.settings(&s.lane);
        if settings.mode == LaneMode::Draining {
            return Err("lane_draining");
        }
        let waits = |t: &&Task| *t.lane == *s.lane && matches!(t.state, State::Ready | State::Scheduled);
        if settings.max_length.is_some_and(|max| self.tasks.iter().filter(waits).count() as u64 >= max) {
            return Err("lane_full");
        }
        let mut task = Task {
            id: s.id,
            lane: s.lane.to_string(),
            kind: s.kind.to_string(),
            requires: s.requires.clone(),
            policy: s.policy.clone(),
            priority: s.priority,
            fairness_key: s.fairness_key.as_ref().map(|key| key.to_string()),
            tag_us: 0,
            order: now,
            tag: now,
            state: State::Scheduled,
            paused: false,
            alive_since: now,
            due_at: now + s.delay_ms.unwrap_or(0),
            attempt: 0,
            failures: 0,
            crashes: 0,
            epoch: 0,
            token: None,
            granted_at: 0,
            renewed_at: 0,
            stop_at: None,
            said: BTreeMap::new(),
        };
        if task.due_at <= now {
            self.enqueue(&mut task, now);
        }
        let state = task.state;
        self.tasks.push(task);
        Ok(state)
    }

    pub fn claim(&mut self, c: &Claim, now: Millis) -> Vec<LeaseRef> {
        let mut can: Vec<(Millis, ExecutionId)> = self
            .tasks
            .iter()
            .filter(|t| t.state == State::Ready && !t.paused && t.order <= c.until)
            .filter(|t| t.dues(self.able_since).iter().flatten().all(|due| *due > now))
            .filter(|t| self.settings(&t.lane).mode != LaneMode::Paused)
            .filter(|t| c.filter.lanes.iter().any(|lane| **lane == t.lane))
            .filter(|t| c.filter.kinds.is_empty() || c.filter.kinds.iter().any(|kind| **kind == t.kind))
            .filter(|t| t.requires.iter().all(|r| r.holds(&c.filter.capabilities)))
            .map(|t| (t.order, t.id))
            .collect();
        can.sort();
        can.truncate(c.max);
        let lease = |model: &mut Self, id| {
            model.change(id, |_, t| {
                (t.state, t.granted_at, t.renewed_at, t.token) = (State::Running, now, now, Some(c.token));
                t.attempt += 1;
                t.epoch += 1;
                LeaseRef { execution: id, epoch: t.epoch, token: c.token }
            })
        };
        can.into_iter().map(|(_, id)| lease(self, id)).collect()
    }

    fn holds(&self, lease: &LeaseRef) -> bool {
        self.task(lease.execution).is_some_and(|t| {
            t.state == State::Running && t.epoch == lease.epoch && t.token == Some(lease.token)
        })
    }

    /// Whether a later word has been said since this lease's: core may then have forgotten it.
    pub fn is_old(&self, lease: &LeaseRef) -> bool {
        let last = self.task(lease.execution).and_then(|t| t.said.keys().max());
        last.is_some_and(|last| *last > lease.epoch)
    }

    pub fn heartbeat(&mut self, lease: &LeaseRef, now: Millis) -> Answer<()> {
        if !self.holds(lease) {
            return Err("lease_lost");
        }
        self.change(lease.execution, |_, t| {
            if now - t.renewed_at >= t.policy.lease_ttl_ms / 3 {
                t.renewed_at = now;
            }
        });
        Ok(())
    }

    pub fn say(&mut self, lease: &LeaseRef, word: &Word<'_>, now: Millis) -> Answer<State> {
        let text = match word {
            Word::Complete(output) => format!("complete {output}"),
            Word::Fail { error_type, .. } => format!("fail {error_type}"),
            Word::Release => "release".to_owned(),
        };
        if !self.holds(lease) {
            let task = self.task(lease.execution).ok_or("lease_lost")?;
            return match task.said.get(&lease.epoch).filter(|(_, token, _)| *token == lease.token) {
                Some((said, _, state)) if *said == text => Ok(*state),
                Some(_) => Err("already_completed"),
                None => Err("lease_lost"),
            };
        }
        let stopping = self.task(lease.execution).unwrap().stop_at.is_some();
        let state = match word {
            Word::Complete(_) => self.end(lease.execution, State::Completed),
            Word::Fail { error_type, retry, retry_after_ms } => {
                self.failed(lease.execution, error_type, *retry, *retry_after_ms, now)
            }
            Word::Release if stopping => self.end(lease.execution, State::Cancelled),
            Word::Release => self.change(lease.execution, |_, t| {
                (t.state, t.token) = (State::Ready, None);
                t.attempt -= 1;
                t.state
            }),
        };
        self.change(lease.execution, |_, t| t.said.insert(lease.epoch, (text, lease.token, state)));
        Ok(state)
    }

    fn end(&mut self, id: ExecutionId, state: State) -> State {
        self.change(id, |_, t| t.state = state);
        state
    }

    fn failed(
        &mut self,
        id: ExecutionId,
        error_type: &str,
        retry: Option<bool>,
        after: Option<Millis>,
        now: Millis,
    ) -> State {
        self.change(id, |_, t| {
            t.failures += 1;
            let never = t.policy.retry.non_retryable.iter().any(|never| never == error_type);
            if t.stop_at.is_some() {
                t.state = State::Cancelled;
            } else if never || retry == Some(false) || t.failures >= t.policy.retry.max_attempts {
                t.state = State::Failed;
            } else {
                let wait = after.unwrap_or_else(|| t.policy.retry.backoff.wait(id, t.failures));
                (t.state, t.due_at) = (State::Scheduled, now + wait);
                if wait == 0 {
                    t.state = State::Ready;
                }
            }
            t.state
        })
    }

    pub fn cancel(&mut self, id: ExecutionId, grace_ms: Millis, now: Millis) -> Answer<State> {
        match self.task(id).ok_or("not_found")?.state {
            State::Cancelled => Ok(State::Cancelled),
            state if state.is_end() => Err("finished"),
            State::Running => {
                let until = now + grace_ms;
                self.change(id, |_, t| t.stop_at = Some(t.stop_at.map_or(until, |at| at.min(until))));
                Ok(State::Running)
            }
            _ => Ok(self.end(id, State::Cancelled)),
        }
    }

    pub fn act(&mut self, id: ExecutionId, action: Action) -> Answer<State> {
        let task = self.task(id).ok_or("not_found")?;
        if task.state.is_end() {
            return Err("finished");
        }
        let age_step = self.settings(&task.lane).age_step_ms.unwrap_or(600_000);
        let (running, stopping) = (task.state == State::Running, task.stop_at.is_some());
        match action {
            Action::Pause => self.change(id, |_, t| t.paused = true),
            Action::Resume => self.change(id, |_, t| t.paused = false),
            Action::Priority(priority) if priority == task.priority => {}
            Action::Priority(priority) => self.change(id, |_, t| {
                t.priority = priority;
                t.order = t.tag - i64::from(priority) * age_step;
            }),
            Action::Revoke if !running => return Err("not_running"),
            Action::Revoke if stopping => _ = self.end(id, State::Cancelled),
            Action::Revoke => self.change(id, |_, t| t.state = State::Ready),
        }
        Ok(self.task(id).unwrap().state)
    }

    pub fn replay(&mut self, id: ExecutionId, now: Millis) -> Answer<State> {
        let task = self.task(id).ok_or("not_found")?.clone();
        if !task.state.is_end() {
            return Err("not_finished");
        }
        let settings = self.settings(&task.lane);
        if settings.mode == LaneMode::Draining {
            return Err("lane_draining");
        }
        let waits = |t: &&Task| t.lane == task.lane && matches!(t.state, State::Ready | State::Scheduled);
        if settings.max_length.is_some_and(|max| self.tasks.iter().filter(waits).count() as u64 >= max) {
            return Err("lane_full");
        }
        self.change(id, |model, t| {
            (t.failures, t.crashes, t.stop_at, t.paused, t.alive_since) = (0, 0, None, false, now);
            model.enqueue(t, now);
        });
        Ok(State::Ready)
    }

    /// What is due next, of all.
    pub fn next_due(&self) -> Option<(Millis, ExecutionId)> {
        let due = |t: &Task| t.dues(self.able_since).into_iter().flatten().min().map(|at| (at, t.id));
        self.tasks.iter().filter(|t| t.open()).filter_map(due).min()
    }

    /// Does what is due for one.
    pub fn fire(&mut self, id: ExecutionId, now: Millis) {
        let Some(task) = self.task(id).filter(|t| t.open()).cloned() else { return };
        let due = task.dues(self.able_since).map(|at| at.is_some_and(|at| at <= now));
        match due.iter().position(|due| *due) {
            Some(0 | 1) => _ = self.end(id, State::Expired),
            Some(2) => _ = self.end(id, State::Cancelled),
            Some(3) => _ = self.failed(id, "attempt_timeout", None, None, now),
            Some(4) => {
                let crashes = task.crashes + 1;
                self.change(id, |_, t| t.crashes = crashes);
                if task.stop_at.is_some() {
                    self.end(id, State::Cancelled);
                } else if crashes > task.policy.max_crashes {
                    self.end(id, State::Failed);
                } else {
                    self.change(id, |_, t| t.state = State::Ready);
                }
            }
            Some(5) if task.attempt > 0 => self.change(id, |_, t| t.state = State::Ready),
            Some(5) => self.change(id, |model, t| model.enqueue(t, now)),
            _ => {}
        }
    }
}
