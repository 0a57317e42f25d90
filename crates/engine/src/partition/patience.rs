//! A store that does not answer: who has waited for it for long is told that nobody knows whether it was done. The batch
//! itself is sent until it is settled.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Actor;
use super::job::{Job, Message, Ran, To};
use crate::CallError;

/// Nobody waits longer for the store than about this.
const PATIENCE: Duration = Duration::from_secs(20);

fn unsettled() -> CallError {
    CallError::Store("the store has not answered for 20 s; whether this is done is not known".to_owned())
}

impl Actor {
    /// When the patience with what the store is asked ends.
    pub(super) fn patient_until(&self) -> Option<Instant> {
        let commit = self.in_flight.as_ref().filter(|_| !self.hung).map(|flight| flight.since);
        let read = self.reading.as_ref().map(|read| read.since);
        commit.into_iter().chain(read).min().map(|since| since + PATIENCE)
    }

    /// Answers who has waited for too long.
    pub(super) fn lose_patience(&mut self) {
        if self.patient_until().is_none_or(|until| until > Instant::now()) {
            return;
        }
        tracing::warn!(partition = self.id.0, "the store does not answer; who waits is told");
        if let Some(mut flight) = self.in_flight.take() {
            if flight.since.elapsed() >= PATIENCE {
                self.hung = true;
                flight.open.ran = self.let_go(flight.open.ran);
                let ran = std::mem::take(&mut self.open.ran);
                self.open.ran = self.let_go(ran);
                let (again, messages) = std::mem::take(&mut self.inbox).into_parts();
                let kept = self.refuse_callers(again);
                self.inbox.first(kept.into_iter());
                messages.into_iter().for_each(|message| self.take_hung(message));
            }
            self.in_flight = Some(flight);
        }
        // What is left asks anew.
        self.reading = None;
        self.waiting_about.clear();
        let waiting = std::mem::take(&mut self.waiting);
        for job in self.refuse_callers(waiting) {
            self.wait(job);
        }
    }

    /// Jobs that nobody waits for; the others are refused.
    fn refuse_callers(&mut self, jobs: VecDeque<Job>) -> Vec<Job> {
        let (callers, kept): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.weight() > 0);
        callers.into_iter().for_each(|job| self.refuse(job, unsettled()));
        kept
    }

    /// While the store hangs, calls are answered at once, and all else waits.
    pub(super) fn take_hung(&mut self, message: Message) {
        match message {
            Message::Call(command, reply) => self.refuse(Job::run(command, To::Caller(reply)), unsettled()),
            Message::Look(look) => self.refuse(Job::Look(look), unsettled()),
            Message::Stop => self.ended = true,
            message => self.inbox.push(message),
        }
    }

    /// Answers callers whose commands are on their way to the store, or are to go with them.
    fn let_go(&self, ran: Vec<Ran>) -> Vec<Ran> {
        let mut kept = Vec::with_capacity(ran.len());
        let mut weight = 0;
        for Ran { job, answer } in ran {
            weight += job.weight();
            match job {
                Job::Look(look) => look.answer(Some(unsettled())),
                Job::Run { command, to: To::Caller(reply), keys } => {
                    // The caller may have gone.
                    _ = reply.send(Err(unsettled()));
                    kept.push(Ran { job: Job::Run { command, to: To::Gone, keys }, answer });
                }
                job => kept.push(Ran { job, answer }),
            }
        }
        self.shared.answered(self.id, weight);
        kept
    }
}
