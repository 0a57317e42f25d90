//! An execution: its states, the moves between them, and what is known of it while it is open.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::attempt::{AttemptOutcome, ErrorInfo};
use super::group::Group;
use super::log::LogSize;
use super::payload::{Hash, Stored};
use super::policy::Policy;
use super::spending::{Spending, WALL_CLOCK};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{ExecutionId, LeaseRef, LeaseToken, RequestId};

/// Where an execution stands. `blocked` is not stored: it is `ready` as seen through a paused lane or a pause of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum State {
    /// Waits for its time: a delay, or the wait before a retry.
    #[n(0)]
    Scheduled,
    /// Waits for a worker.
    #[n(1)]
    Ready,
    /// A worker holds its lease.
    #[n(2)]
    Running,
    /// Ended well.
    #[n(3)]
    Completed,
    /// Ended badly.
    #[n(4)]
    Failed,
    /// Ended by request.
    #[n(5)]
    Cancelled,
    /// Ended by the clock.
    #[n(6)]
    Expired,
    /// Stopped by a budget in the middle of an attempt, which goes on when there is money again.
    #[n(7)]
    Suspended,
}

/// What can happen to an execution's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Its time has come.
    Due,
    /// A worker takes it.
    Lease,
    /// Its worker gives it back unused, or an operator takes the lease.
    GiveBack,
    /// The attempt ended without success and another follows at once.
    Again,
    /// The attempt ended without success and another follows later.
    Later,
    /// A budget stopped it; it goes on where it was.
    Suspend,
    /// Its worker completed it.
    Complete,
    /// No attempt is left.
    Fail,
    /// Asked to stop, and stopped.
    Cancel,
    /// Out of time.
    Expire,
    /// Run again after its end.
    Replay,
}

/// The legal moves. There is no other way to change a state.
pub const MOVES: &[(State, Move, State)] = &[
    (State::Scheduled, Move::Due, State::Ready),
    (State::Scheduled, Move::Cancel, State::Cancelled),
    (State::Scheduled, Move::Expire, State::Expired),
    (State::Ready, Move::Lease, State::Running),
    (State::Ready, Move::Cancel, State::Cancelled),
    (State::Ready, Move::Expire, State::Expired),
    (State::Suspended, Move::Lease, State::Running),
    (State::Suspended, Move::Cancel, State::Cancelled),
    (State::Suspended, Move::Expire, State::Expired),
    (State::Suspended, Move::Fail, State::Failed),
    (State::Ready, Move::Fail, State::Failed),
    (State::Running, Move::Suspend, State::Suspended),
    (State::Running, Move::GiveBack, State::Ready),
    (State::Running, Move::Again, State::Ready),
    (State::Running, Move::Later, State::Scheduled),
    (State::Running, Move::Complete, State::Completed),
    (State::Running, Move::Fail, State::Failed),
    (State::Running, Move::Cancel, State::Cancelled),
    (State::Running, Move::Expire, State::Expired),
    (State::Completed, Move::Replay, State::Ready),
    (State::Failed, Move::Replay, State::Ready),
    (State::Cancelled, Move::Replay, State::Ready),
    (State::Expired, Move::Replay, State::Ready),
];

impl State {
    /// Where `step` leads from here, if it is legal.
    pub fn after(self, step: Move) -> Option<Self> {
        MOVES.iter().find(|(from, by, _)| *from == self && *by == step).map(|(_, _, to)| *to)
    }

    /// Whether nothing follows but a replay.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
        }
    }
}

/// Transitions kept in an execution's own record.
pub const HISTORY_MAX: usize = 100;

/// One of an execution's transitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// When.
    pub at: Millis,
    /// What.
    pub kind: EventKind,
}

/// A worker as its leases know it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Worker {
    /// Its name.
    pub name: Arc<str>,
    /// Its process's session, 0 for leases taken by a plain call.
    pub session: u64,
}

/// How far a worker says it is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Progress {
    /// 0 to 100.
    #[n(0)]
    pub percent: Option<u8>,
    /// For people.
    #[n(1)]
    pub message: Option<String>,
}

/// A worker's exclusive, expiring hold on an attempt; after the end, the last one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The proof. All leases of one claim share it; execution and epoch tell them apart.
    pub token: LeaseToken,
    /// Who holds it.
    pub worker: Worker,
    /// When it was given.
    pub granted_at: Millis,
    /// When it was last renewed.
    pub renewed_at: Millis,
    /// What its worker last said of its progress.
    pub progress: Option<Progress>,
}

/// Why running code is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum StopReason {
    /// Somebody cancelled the execution.
    #[n(0)]
    Cancel,
    /// A budget stops it: it goes on from its journal when there is money again.
    #[n(1)]
    Suspend,
    /// A budget stops it, and says to cancel it.
    #[n(2)]
    BudgetCancel,
    /// A budget or a cap stops it, and it fails.
    #[n(3)]
    BudgetFail,
}

/// A request to stop that the worker has time to follow.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Stop {
    /// Why.
    #[n(0)]
    pub reason: StopReason,
    /// In the words of whoever asked.
    #[n(1)]
    pub message: Option<String>,
    /// When the lease is taken.
    #[n(2)]
    pub until: Millis,
}

/// What a worker last said to end an attempt that another follows: if it never heard the answer it says so again, and
/// is answered the same.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LastWord {
    /// Under which of the execution's leases.
    #[n(0)]
    pub epoch: u32,
    /// The lease's proof.
    #[n(1)]
    pub token: LeaseToken,
    /// Hash of what it said.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub body: Hash,
    /// Where the execution stood after it.
    #[n(3)]
    pub state: State,
    /// When the next attempt was due, if not at once.
    #[n(4)]
    pub due_at: Option<Millis>,
}

/// Fair share: under which key, and where in that key's turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fair {
    /// The fairness key.
    pub key: Arc<str>,
    /// Its start tag (start-time fair queueing), in microseconds since 1970, so that large weights still differ;
    /// 0 before its first turn.
    pub tag: i64,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct End {
    /// When.
    #[n(0)]
    pub at: Millis,
    /// How its last attempt ended; `None` if no attempt was under way.
    #[n(1)]
    pub outcome: Option<AttemptOutcome>,
    /// What it gave.
    #[n(2)]
    pub output: Option<Stored>,
    /// Why it did not complete.
    #[n(3)]
    pub error: Option<ErrorInfo>,
    /// Hash of the body that ended it, to tell a repetition from a contradiction.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub body: Option<Hash>,
}

/// An execution as the projection holds it, and as its archive record keeps it after its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// What a worker must offer.
    pub group: Arc<Group>,
    /// How it is retried, timed out and kept.
    pub policy: Arc<Policy>,
    /// Where it stands; changed only by [`Execution::step`].
    state: State,
    /// -100 to 100, higher first.
    pub priority: i8,
    /// Held back by an operator.
    pub paused: bool,
    /// When it was accepted.
    pub submitted_at: Millis,
    /// When it is due, while scheduled.
    pub due_at: Millis,
    /// Its place among ready work, in ms, lower first; fixed when it became ready.
    pub order: Millis,
    /// The place it would have without a priority: since when it waits, or its fairness key's turn.
    pub tag: Millis,
    /// Fair share, if it has a fairness key.
    pub fair: Option<Box<Fair>>,
    /// Attempts so far.
    pub attempt: u32,
    /// Attempts that failed or timed out, since submission or replay.
    pub failures: u32,
    /// Attempts that crashed, since submission or replay.
    pub crashes: u32,
    /// Leases so far; never reset.
    pub epoch: u32,
    /// The lease, while running; the last one after the end.
    pub lease: Option<Box<Lease>>,
    /// A request to stop.
    pub stop: Option<Box<Stop>>,
    /// How it ended.
    pub end: Option<Box<End>>,
    /// The last word of a worker under an earlier lease.
    pub last_word: Option<Box<LastWord>>,
    /// When it last came to life, for the time-outs that count from there: submission or replay.
    pub revived_at: Option<Millis>,
    /// The request that replayed it last, if it had an id: sent again it is answered, not done again.
    pub replayed_by: Option<Box<RequestId>>,
    /// How much it has logged, if anything; over all attempts and replays.
    pub log: Option<Box<LogSize>>,
    /// What it has asked for, holds and has spent, once it has.
    pub spending: Option<Box<Spending>>,
    history: Vec<Transition>,
    /// Transitions that came before those in `history`.
    forgotten: u32,
}

impl Execution {
    /// A new one, ready, or scheduled if it is due only later.
    pub fn new(
        id: ExecutionId,
        group: Arc<Group>,
        policy: Arc<Policy>,
        priority: i8,
        now: Millis,
        due_at: Option<Millis>,
    ) -> Self {
        let due = due_at.filter(|due| *due > now);
        Self {
            id,
            group,
            policy,
            state: if due.is_some() { State::Scheduled } else { State::Ready },
            priority,
            paused: false,
            submitted_at: now,
            due_at: due.unwrap_or(0),
            order: now,
            tag: now,
            fair: None,
            attempt: 0,
            failures: 0,
            crashes: 0,
            epoch: 0,
            lease: None,
            stop: None,
            end: None,
            last_word: None,
            revived_at: None,
            replayed_by: None,
            log: None,
            spending: None,
            history: Vec::new(),
            forgotten: 0,
        }
    }

    /// Rebuilds one from its record.
    pub(crate) fn restored(mut self, state: State, history: Vec<Transition>, forgotten: u32) -> Self {
        self.state = state;
        self.history = history;
        self.forgotten = forgotten;
        self
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its last [`HISTORY_MAX`] transitions after its submission, oldest first.
    pub fn history(&self) -> &[Transition] {
        &self.history
    }

    /// How many transitions came before [`Execution::history`].
    pub fn forgotten(&self) -> u32 {
        self.forgotten
    }

    /// Makes a move if the table allows it, and says whether it did.
    #[must_use]
    pub fn step(&mut self, step: Move) -> bool {
        match self.state.after(step) {
            Some(state) => {
                self.state = state;
                true
            }
            None => false,
        }
    }

    /// Notes a transition.
    pub fn note(&mut self, at: Millis, kind: EventKind) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.history.push(Transition { at, kind });
    }

    /// Gives it its place among ready work, by what a step of priority is worth now.
    pub fn place(&mut self, age_step: Millis) {
        self.order = self.tag.saturating_sub(Millis::from(self.priority).saturating_mul(age_step));
    }

    /// Where the time-outs of its life count from.
    pub fn alive_since(&self) -> Millis {
        self.revived_at.unwrap_or(self.submitted_at)
    }

    /// The running lease, if `lease` is it.
    pub fn leased_as(&self, lease: &LeaseRef) -> Option<&Lease> {
        let held = self.lease.as_deref()?;
        (self.state == State::Running && self.epoch == lease.epoch && held.token.matches(&lease.token))
            .then_some(held)
    }

    /// What was said to end the attempt under `lease`, and where the execution stood then.
    pub fn said_under(&self, lease: &LeaseRef) -> Option<(Hash, State, Option<Millis>)> {
        let ended =
            self.end.as_deref().and_then(|end| Some((self.epoch, self.lease.as_deref()?.token, end.body?)));
        let ended = ended.map(|(epoch, token, body)| (epoch, token, body, self.state, None));
        let earlier = self
            .last_word
            .as_deref()
            .map(|word| (word.epoch, word.token, word.body, word.state, word.due_at));
        let words = [ended, earlier].into_iter().flatten();
        words
            .filter(|(epoch, token, ..)| *epoch == lease.epoch && token.matches(&lease.token))
            .map(|(_, _, body, state, due_at)| (body, state, due_at))
            .next()
    }

    /// When its lease expires: the TTL past its renewal, or past the moment this node could first take a heartbeat.
    pub fn lease_expires(&self, able_since: Millis) -> Option<Millis> {
        let lease = self.lease.as_deref().filter(|_| self.state == State::Running)?;
        Some(lease.renewed_at.max(able_since).saturating_add(self.policy.lease_ttl_ms))
    }

    /// Whether it waits to be leased.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready | State::Suspended) && !self.paused
    }

    /// Whether it may be leased as it stands: it names no budgets, or has a permit of each.
    pub fn is_admitted(&self) -> bool {
        let uses = self.policy.budgets.len();
        uses == 0 || self.spending.as_deref().is_some_and(|spending| spending.is_admitted(uses))
    }

    /// Whether it has asked for a permit, waits for one, or has one that no lease uses.
    pub fn is_pending(&self) -> bool {
        self.state != State::Running && self.spending.as_deref().is_some_and(Spending::is_pending)
    }

    /// Whether it waits for the answers to what it has asked: it has not all its permits, and waits for no money.
    pub fn asks(&self) -> bool {
        let waits = self.spending.as_deref().is_some_and(Spending::waits);
        self.is_pending() && !self.is_admitted() && !waits
    }

    /// Whether it is ready, and waits in a budget's queue.
    pub fn waits_for_budget(&self) -> bool {
        self.state == State::Ready
            && self.spending.as_deref().is_some_and(|spending| spending.queued().is_some())
    }

    /// When its permits go back, because no lease uses them or others are missing.
    pub fn permits_end(&self) -> Option<Millis> {
        if self.is_pending() { self.spending.as_deref()?.until } else { None }
    }

    /// When it has run as long as its caps allow.
    pub fn wall_clock_ends(&self) -> Option<Millis> {
        let lease = self.lease.as_deref().filter(|_| self.state == State::Running)?;
        let (ran, attempt_ran) =
            self.spending.as_deref().map_or((0, 0), |spending| (spending.ran_ms, spending.attempt_ran_ms));
        let caps = self.policy.budgets.iter().flat_map(|used| {
            let left = |cap: &Option<super::Amounts>, ran: Millis| {
                let cap = cap.as_ref().map(|cap| cap.get(WALL_CLOCK)).filter(|cap| *cap > 0)?;
                Some(Millis::try_from(cap).unwrap_or(Millis::MAX).saturating_sub(ran))
            };
            [left(&used.cap, ran), left(&used.attempt_cap, attempt_ran)]
        });
        caps.flatten().min().map(|left| lease.granted_at.saturating_add(left.max(0)))
    }

    /// When its attempt runs out of time.
    pub fn attempt_ends(&self) -> Option<Millis> {
        let lease = self.lease.as_deref().filter(|_| self.state == State::Running)?;
        Some(lease.granted_at.saturating_add(self.policy.attempt_timeout_ms?))
    }

    /// When it is given up because nobody started it.
    pub fn queue_ends(&self) -> Option<Millis> {
        let waiting = matches!(self.state, State::Scheduled | State::Ready) && self.attempt == 0;
        waiting.then(|| self.policy.queue_ttl_ms.map(|ttl| self.alive_since().saturating_add(ttl)))?
    }

    /// When its life ends.
    pub fn deadline(&self) -> Option<Millis> {
        let open = !self.state.is_end();
        open.then(|| self.policy.deadline_ms.map(|deadline| self.alive_since().saturating_add(deadline)))?
    }

    /// The next instant at which the clock has something to do with it.
    pub fn next_due(&self, able_since: Millis) -> Option<Millis> {
        let due = (self.state == State::Scheduled).then_some(self.due_at);
        let stop = self.stop.as_deref().filter(|_| self.state == State::Running).map(|stop| stop.until);
        // A stop of its own was told when the caps ended; its grace is what counts then.
        let wall_clock = self.wall_clock_ends().filter(|_| self.stop.is_none());
        let budgets = wall_clock.or(self.permits_end());
        let lease = self.lease_expires(able_since);
        [due, stop, lease, self.attempt_ends(), self.queue_ends(), self.deadline(), budgets]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_way_out_and_none_has_two_for_one_move() {
        use State::*;
        for state in [Scheduled, Ready, Running, Suspended, Completed, Failed, Cancelled, Expired] {
            assert!(MOVES.iter().any(|(from, _, _)| *from == state), "{state:?}");
            for (_, step, _) in MOVES {
                assert!(MOVES.iter().filter(|(from, by, _)| *from == state && by == step).count() <= 1);
            }
        }
        assert!(MOVES.iter().filter(|(from, ..)| from.is_end()).all(|(_, by, _)| *by == Move::Replay));
    }
}
