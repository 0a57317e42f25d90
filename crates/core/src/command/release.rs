//! Releasing: a lease given back unused costs no attempt.

use super::context::Context;
use super::ending::{Ended, end};
use super::{Outcome, Refusal};
use crate::event::EventKind;
use crate::ids::LeaseRef;
use crate::model::{AttemptOutcome, Execution, Move};

/// Give a lease back unused.
#[derive(Clone, Debug)]
pub struct Release {
    /// The lease.
    pub lease: LeaseRef,
}

impl Release {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let execution = context.leased(&self.lease)?;
        give_back(context, execution, EventKind::Released)
    }
}

/// Puts leased work back to its old place, as if it had never been leased but for its epoch.
pub(super) fn give_back(
    context: &mut Context<'_>,
    mut execution: Execution,
    kind: EventKind,
) -> Result<Outcome, Refusal> {
    if execution.stop.is_some() {
        let ended = Ended::own(AttemptOutcome::Cancelled, "cancelled", "asked to stop, and given back");
        return end(context, execution, Move::Cancel, ended, None);
    }
    context.step(&mut execution, Move::GiveBack)?;
    execution.attempt -= 1;
    execution.lease = None;
    let state = execution.state();
    context.put(execution, kind);
    Ok(Outcome::Ended(state))
}
