//! What has happened to an execution, numbered over its whole life.

use super::execution::Execution;
use crate::Millis;
use crate::event::EventKind;

/// One thing that happened to an execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Happened {
    /// Counted from 1, the submission; what is no longer kept counts too.
    pub number: u64,
    /// When.
    pub at: Millis,
    /// What.
    pub kind: EventKind,
    /// The attempt it was, 0 before the first.
    pub attempt: u32,
}

impl Execution {
    /// What has happened to it as far as it is kept, oldest first: its submission, and its last transitions.
    pub fn happened(&self) -> Vec<Happened> {
        let transitions = self.history();
        let mut number = 1 + u64::from(self.forgotten()) + transitions.len() as u64;
        let mut attempt = self.attempt;
        let mut happened = Vec::with_capacity(transitions.len() + 1);
        for transition in transitions.iter().rev() {
            happened.push(Happened { number, at: transition.at, kind: transition.kind, attempt });
            number -= 1;
            // A lease begins an attempt, and one that is given back unused was none.
            attempt = match transition.kind {
                EventKind::Leased => attempt.saturating_sub(1),
                EventKind::Released => attempt.saturating_add(1),
                _ => attempt,
            };
        }
        happened.push(Happened { number: 1, at: self.submitted_at, kind: EventKind::Submitted, attempt: 0 });
        happened.reverse();
        happened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, policy};
    use crate::event::Event;
    use crate::ids::ExecutionId;

    fn told(bed: &Bed, id: ExecutionId) -> Vec<(Millis, EventKind, u32)> {
        let own = bed.events.iter().filter(|event| event.execution == Some(id));
        own.map(|Event { at, kind, attempt, .. }| (*at, *kind, *attempt)).collect()
    }

    #[test]
    fn it_is_what_was_told_when_it_happened() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.delay_ms = Some(10));
        bed.pass(10);
        let lease = bed.lease();
        bed.release(lease).unwrap();
        bed.pass(5);
        let lease = bed.lease();
        bed.fail_as(lease, "Broken", None, Some(7)).unwrap();
        bed.pass(7);
        bed.lease();
        bed.pass(30_000);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        bed.replay(id, None).unwrap();
        bed.act(id, crate::command::Action::Priority(3)).unwrap();
        bed.lease();
        bed.cancel(id, 100).unwrap();
        bed.pass(100);
        let happened = bed.show(id).execution.happened();
        let kept: Vec<_> = happened.iter().map(|h| (h.at, h.kind, h.attempt)).collect();
        assert_eq!(kept, told(&bed, id));
        assert!(happened.iter().enumerate().all(|(index, h)| h.number == index as u64 + 1), "{happened:?}");
    }

    #[test]
    fn numbers_stay_when_the_oldest_are_forgotten() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.policy = policy(|p| p.max_crashes = 1_000));
        for _ in 0..75 {
            bed.lease();
            bed.pass(30_000);
        }
        let told = told(&bed, id);
        assert_eq!(told.len(), 151);
        let happened = bed.show(id).execution.happened();
        assert_eq!(happened.len(), 101, "the submission and the last hundred");
        for h in &happened {
            assert_eq!((h.at, h.kind, h.attempt), told[h.number as usize - 1]);
        }
        assert_eq!((happened[1].number, happened[100].number), (52, 151));
    }
}
