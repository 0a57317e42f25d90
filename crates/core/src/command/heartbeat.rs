//! Heartbeats: a lease renewed, progress noted, and the answer that may ask to stop.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::ids::LeaseRef;
use crate::model::{Progress, StopReason};

/// Renew a lease.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The lease.
    pub lease: LeaseRef,
    /// How far the work is, if its worker says.
    pub progress: Option<Progress>,
}

/// A request to stop, as its worker hears it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stopping {
    /// Why.
    pub reason: StopReason,
    /// In the words of whoever asked.
    pub message: Option<String>,
    /// Time left until the lease is taken.
    pub grace_ms: Millis,
    /// When that is.
    pub until: Millis,
}

/// The lease holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// How long it lasts from now without another heartbeat.
    pub ttl_ms: Millis,
    /// How long it lasts from a heartbeat that is written.
    pub whole_ttl_ms: Millis,
    /// Which attempt it is for.
    pub attempt: u32,
    /// Whether to stop.
    pub stop: Option<Stopping>,
}

impl Heartbeat {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let now = context.now();
        let held = context.partition.execution(self.lease.execution).ok_or(Refusal::LeaseLost)?;
        let lease = held.leased_as(&self.lease).ok_or(Refusal::LeaseLost)?;
        let (whole_ttl_ms, attempt) = (held.policy.lease_ttl_ms, held.attempt);
        let stop = held.stop.as_deref().map(|stop| Stopping {
            reason: stop.reason,
            message: stop.message.clone(),
            grace_ms: (stop.until - now).max(0),
            until: stop.until,
        });
        let says_more = self.progress.is_some() && self.progress != lease.progress;
        // A put per third of the TTL is enough to keep the lease, whatever the worker's pace.
        if now - lease.renewed_at >= whole_ttl_ms / 3 || says_more {
            let mut execution = held.clone();
            if let Some(lease) = &mut execution.lease {
                lease.renewed_at = now;
                if says_more {
                    lease.progress = self.progress.clone();
                }
            }
            context.put_silently(execution);
            return Ok(Outcome::Renewed(Renewal { ttl_ms: whole_ttl_ms, whole_ttl_ms, attempt, stop }));
        }
        // Nothing was written, so only what is left of the last renewal is promised.
        let ttl_ms = whole_ttl_ms - (now - lease.renewed_at).max(0);
        Ok(Outcome::Renewed(Renewal { ttl_ms, whole_ttl_ms, attempt, stop }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::Command;
    use crate::model::State;

    #[test]
    fn a_lease_lasts_as_long_as_it_is_renewed() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        for _ in 0..10 {
            bed.pass(29_999);
            assert_eq!(bed.heartbeat(lease).unwrap().ttl_ms, 30_000);
        }
        bed.pass(29_999);
        assert_eq!(bed.state(id), State::Running);
        bed.pass(1);
        assert_eq!(bed.heartbeat(lease), Err(Refusal::LeaseLost));
    }

    #[test]
    fn it_writes_once_per_third_of_the_ttl_and_promises_no_more_than_it_wrote() {
        let mut bed = Bed::new();
        bed.submit(|_| ());
        let lease = bed.lease();
        let before = bed.puts;
        for second in 1..=30 {
            bed.pass(1_000);
            let ttl_ms = bed.heartbeat(lease).unwrap().ttl_ms;
            assert_eq!(ttl_ms, 30_000 - (second % 10) * 1_000);
        }
        assert_eq!(bed.puts - before, 3);
    }

    #[test]
    fn progress_is_kept_when_it_changes() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        let progress = Some(Progress { percent: Some(40), message: Some("reading".into()) });
        let before = bed.puts;
        for _ in 0..3 {
            bed.run(Command::Heartbeat(Heartbeat { lease, progress: progress.clone() })).unwrap();
        }
        bed.heartbeat(lease).unwrap();
        assert_eq!(bed.puts - before, 1);
        assert_eq!(bed.show(id).execution.lease.unwrap().progress, progress);
    }

    #[test]
    fn it_hears_of_a_cancel() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        assert_eq!(bed.heartbeat(lease).unwrap().stop, None);
        bed.cancel(id, 5_000).unwrap();
        bed.pass(2_000);
        let stop = bed.heartbeat(lease).unwrap().stop.unwrap();
        assert_eq!((stop.reason, stop.grace_ms), (StopReason::Cancel, 3_000));
        assert_eq!(stop.message.as_deref(), Some("not needed"));
    }
}
