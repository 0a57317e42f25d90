//! A tiny obvious model of an execution's life: which event may follow which. It shares no code with core's
//! transition table, so that one can contradict the other.

use stint_core::EventKind;

use crate::invariant::Invariant;

/// What a submission allows, as its submitter said it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Failed attempts at which it fails.
    pub(crate) max_attempts: u32,
    /// Crashed attempts that are followed by another.
    pub(crate) max_crashes: u32,
}

/// Where an execution stands after the events so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Life {
    pub(crate) phase: Phase,
    pub(crate) epoch: u32,
    pub(crate) failures: u32,
    pub(crate) crashes: u32,
    pub(crate) paused: bool,
    pub(crate) stopping: bool,
}

/// Whether it waits, runs, or has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    #[default]
    Waiting,
    Running,
    Ended,
}

type Breach = (Invariant, String);

impl Life {
    /// The next event, or which promise it breaks.
    pub(crate) fn follow(&mut self, event: EventKind, limits: Limits) -> Result<(), Breach> {
        use EventKind::*;
        let breach = |invariant, what: &str| Err((invariant, format!("{} {what}", event.name())));
        let needed = match event {
            Leased | Ready => Some(Phase::Waiting),
            Released | Crashed | AttemptFailed | AttemptTimedOut | Revoked | CancelRequested | Completed
            | StopRequested | Suspended => Some(Phase::Running),
            Blocked => Some(Phase::Waiting),
            Replayed => Some(Phase::Ended),
            _ => None,
        };
        if needed.is_some_and(|phase| phase != self.phase)
            || (self.phase == Phase::Ended && event != Replayed)
        {
            return breach(Invariant::OneEnd, &format!("while it was {:?}", self.phase));
        }
        match event {
            Leased if self.paused => return breach(Invariant::PausedStartsNothing, "while it was paused"),
            Leased => {
                self.phase = Phase::Running;
                self.epoch += 1;
            }
            Released | Revoked | Crashed | AttemptFailed | AttemptTimedOut | Suspended if self.stopping => {
                return breach(Invariant::OneEnd, "although it was asked to stop");
            }
            Crashed => {
                self.phase = Phase::Waiting;
                self.crashes += 1;
                if self.crashes > limits.max_crashes {
                    return breach(Invariant::WithinLimits, "once more than crashes are followed");
                }
            }
            AttemptFailed | AttemptTimedOut => {
                self.phase = Phase::Waiting;
                self.failures += 1;
                if self.failures >= limits.max_attempts {
                    return breach(
                        Invariant::WithinLimits,
                        "and another attempt follows, beyond max_attempts",
                    );
                }
            }
            Released | Revoked | Suspended => self.phase = Phase::Waiting,
            CancelRequested => self.stopping = true,
            Paused => self.paused = true,
            Resumed => self.paused = false,
            Replayed => {
                *self = Self { epoch: self.epoch, ..Self::default() };
            }
            Completed | Failed | Cancelled | Expired => self.phase = Phase::Ended,
            Ready | PriorityChanged | Blocked | StopRequested => {}
            _ => {
                return breach(Invariant::OneEnd, "in an execution's own history");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(events: &[EventKind]) -> Result<(), Invariant> {
        let mut life = Life::default();
        let limits = Limits { max_attempts: 3, max_crashes: 1 };
        events.iter().try_for_each(|event| life.follow(*event, limits)).map_err(|(invariant, _)| invariant)
    }

    #[test]
    fn lives_that_may_be_and_lives_that_may_not() {
        use EventKind::*;
        let cases: &[(&[EventKind], Result<(), Invariant>)] = &[
            (&[Leased, Completed], Ok(())),
            (&[Ready, Leased, AttemptFailed, Ready, Leased, Crashed, Leased, Completed], Ok(())),
            (&[Leased, CancelRequested, Cancelled, Replayed, Leased, Completed], Ok(())),
            (&[Leased, Leased], Err(Invariant::OneEnd)),
            (&[Leased, Completed, Cancelled], Err(Invariant::OneEnd)),
            (&[Completed], Err(Invariant::OneEnd)),
            (&[Leased, CancelRequested, Crashed], Err(Invariant::OneEnd)),
            (&[Leased, Crashed, Leased, Crashed], Err(Invariant::WithinLimits)),
            (
                &[Leased, AttemptFailed, Leased, AttemptFailed, Leased, AttemptFailed],
                Err(Invariant::WithinLimits),
            ),
            (&[Paused, Leased], Err(Invariant::PausedStartsNothing)),
            (&[Paused, Resumed, Leased], Ok(())),
        ];
        for (events, expected) in cases {
            assert_eq!(check(events), *expected, "{events:?}");
        }
    }
}
