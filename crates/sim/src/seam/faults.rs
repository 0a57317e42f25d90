//! The store's faults, counted, so that a run can tell what it has been through.

use std::sync::Arc;
use std::time::Duration;

use stint_store::memory::{Fault, FaultPlan, Op, SeededFaults, Trouble};

use crate::trace::Trace;

/// An old commit that arrives after this time is older than most leases.
const MINUTE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct CountedFaults {
    faults: SeededFaults,
    trace: Arc<Trace>,
}

impl CountedFaults {
    pub(crate) fn new(faults: SeededFaults, trace: Arc<Trace>) -> Self {
        Self { faults, trace }
    }
}

impl FaultPlan for CountedFaults {
    fn decide(&mut self, op: Op) -> Fault {
        let fault = self.faults.decide(op);
        let what = match fault.trouble {
            Trouble::None => return fault,
            Trouble::Unavailable => "call refused",
            Trouble::Full => "no room for a commit",
            Trouble::LostRequest => "commit lost",
            Trouble::LostReply => "commit applied, not confirmed",
            Trouble::Late(wait) if wait > MINUTE => "commit late by minutes",
            Trouble::Late(_) => "commit late",
            Trouble::Repeat(wait) if wait > MINUTE => "commit repeated minutes later",
            Trouble::Repeat(_) => "commit repeated",
            Trouble::Rival { .. } => "commit overtaken",
            Trouble::TooOld => "changes too old",
        };
        self.trace.count(what);
        fault
    }
}
