//! What waits for room: a batch takes what fits, and the next one goes on.

use std::collections::VecDeque;

use stint_core::Key;

use super::job::{Job, Message};
use super::{Actor, CHUNK};

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    /// Jobs that ran before and were taken back. They come first: they are older than any message.
    again: VecDeque<Job>,
    messages: VecDeque<Message>,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.again.is_empty() && self.messages.is_empty()
    }

    /// What runs again, in order, before what stands here already.
    pub(super) fn first(&mut self, jobs: impl DoubleEndedIterator<Item = Job>) {
        jobs.rev().for_each(|job| self.again.push_front(job));
    }

    /// A message that finds no room.
    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// Everything that has not run.
    pub(super) fn into_parts(self) -> (VecDeque<Job>, VecDeque<Message>) {
        (self.again, self.messages)
    }
}

impl Actor {
    /// Whether to look into the mailbox.
    pub(super) fn takes_messages(&self) -> bool {
        self.hung || self.inbox.is_empty() && self.open.has_room()
    }

    /// Takes messages as long as the batch has room, and keeps the others.
    pub(super) fn take_in(&mut self, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            if self.hung {
                self.take_hung(message);
            } else if self.inbox.is_empty() && self.open.has_room() {
                self.take(message);
            } else {
                self.inbox.push(message);
            }
        }
    }

    /// Takes what has come in meanwhile, a bounded number.
    pub(super) fn take_waiting(&mut self) {
        for _ in 0..CHUNK {
            if !self.inbox.is_empty() || !self.open.has_room() {
                return;
            }
            let Ok(message) = self.mailbox.try_recv() else { return };
            self.take(message);
        }
    }

    /// Runs jobs again, in order; `present` are keys that they must read this time.
    pub(super) fn run_again(&mut self, mut jobs: Vec<Job>, present: &[Key]) {
        if !present.is_empty() {
            for job in &mut jobs {
                if let Job::Run { keys, .. } = job {
                    keys.extend(present.iter().cloned());
                }
            }
        }
        self.inbox.first(jobs.into_iter());
        self.work_off_again();
    }

    /// Goes on with what runs again.
    pub(super) fn work_off_again(&mut self) {
        while self.open.has_room()
            && let Some(job) = self.inbox.again.pop_front()
        {
            self.accept(job);
        }
    }

    /// Goes on with messages that had to wait.
    pub(super) fn work_off(&mut self) {
        while self.open.has_room()
            && self.inbox.again.is_empty()
            && let Some(message) = self.inbox.messages.pop_front()
        {
            self.take(message);
        }
    }

    /// Whether there is something to run that waits for nothing.
    pub(super) fn has_more(&self) -> bool {
        let reads = self.reading.is_none() && !self.waiting.is_empty();
        self.open.has_room() && (reads || !self.inbox.is_empty())
    }
}
