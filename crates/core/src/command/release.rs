//! Releasing: a lease given back costs no attempt.

use super::context::Context;
use super::ending::{Ended, archive_if_ended, end, remember, repeated};
use super::{Outcome, Refusal, permit};
use crate::event::EventKind;
use crate::ids::LeaseRef;
use crate::key::Key;
use crate::model::{AttemptOutcome, Execution, Hash, Move, StopReason};
use crate::partition::Partition;

/// Give a lease back.
#[derive(Clone, Debug)]
pub struct Release {
    /// The lease.
    pub lease: LeaseRef,
    /// Its work was begun, and broken off: what it has called may still be spending.
    pub unfinished: bool,
}

/// What a release says, where other words have the hash of their body.
const RELEASED: Hash = *b"released, unused";

/// What it says of work that was begun.
const UNFINISHED: Hash = *b"given unfinished";

/// Whether it is a worker's word that nothing which it began spends any more: what its lease held is free then.
pub(super) fn settles(body: Option<Hash>) -> bool {
    body.is_some_and(|body| body != UNFINISHED)
}

impl Release {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        archive_if_ended(partition, &self.lease)
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let body = if self.unfinished { UNFINISHED } else { RELEASED };
        match context.leased(&self.lease) {
            Ok(execution) => give_back(context, execution, Some(body)),
            Err(_) => repeated(context, &self.lease, body),
        }
    }
}

/// Puts leased work back to its old place, as if it had never been leased but for its epoch. `body` is what its worker
/// said, if it spoke; if not, it may all the same have begun: what its lease held is in doubt.
pub(super) fn give_back(
    context: &mut Context<'_>,
    mut execution: Execution,
    body: Option<Hash>,
) -> Result<Outcome, Refusal> {
    match execution.stop.as_deref().map(|stop| stop.reason) {
        None => {}
        Some(StopReason::Cancel) => {
            let ended = Ended::own(AttemptOutcome::Cancelled, "cancelled", "asked to stop, and given back");
            return end(context, execution, Move::Cancel, Ended { body, ..ended }, None);
        }
        Some(_) => return permit::stopped(context, execution, settles(body), body),
    }
    let resumed = execution.spending.as_deref().is_some_and(|spending| spending.resumed == Some(true));
    permit::end_lease(context, &mut execution, settles(body), false);
    if let Some(spending) = execution.spending.as_deref_mut() {
        // It is the same attempt when it goes on, and what it has spent is the attempt's. What was resumed keeps its number.
        spending.given_back = (!resumed).then_some(true);
    }
    if resumed {
        context.step(&mut execution, Move::Suspend)?;
    } else {
        context.step(&mut execution, Move::GiveBack)?;
        execution.attempt -= 1;
    }
    let token = execution.lease.take().map(|lease| lease.token);
    remember(&mut execution, token, body);
    let state = execution.state();
    context.put(execution, EventKind::Released);
    Ok(Outcome::Ended(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::model::State;

    #[test]
    fn a_lease_given_back_costs_no_attempt_and_no_place() {
        let mut bed = Bed::new();
        let first = bed.submit(|_| ());
        bed.pass(5);
        let second = bed.submit(|_| ());
        let lease = bed.lease();
        bed.pass(5);
        assert_eq!(bed.release(lease), Ok(Outcome::Ended(State::Ready)));
        let shown = bed.show(first).execution;
        assert_eq!((shown.attempt, shown.epoch, shown.failures, shown.crashes), (0, 1, 0, 0));
        assert_eq!(bed.order(), [first, second]);
        assert_eq!(bed.show(first).attempts.len(), 0);
    }

    #[test]
    fn releasing_twice_is_answered_the_same() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        bed.release(lease).unwrap();
        assert_eq!(bed.release(lease), Ok(Outcome::Ended(State::Ready)));
        let next = bed.lease();
        assert_eq!(bed.release(lease), Ok(Outcome::Ended(State::Ready)));
        assert_eq!(bed.complete(lease, "1"), Err(Refusal::AlreadyCompleted));
        bed.complete(next, "1").unwrap();
        assert_eq!(bed.release(next), Err(Refusal::AlreadyCompleted));
    }

    #[test]
    fn work_asked_to_stop_is_cancelled_by_giving_it_back() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        bed.cancel(id, 1_000).unwrap();
        assert_eq!(bed.release(lease), Ok(Outcome::Ended(State::Cancelled)));
        assert_eq!(bed.release(lease), Ok(Outcome::Ended(State::Cancelled)));
    }
}
