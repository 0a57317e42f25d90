//! One worker process's conversation, without tasks or time of its own: which exchange is new, which reply was read,
//! which leases its worker knows of, and which of them are due for a heartbeat.
//!
//! Exchanges are numbered; each names the last reply that was read. The same number again is answered with the same
//! reply. What an unread reply said is said again by the next. A lease from a reply that was read, and that the worker
//! does not list, never reached a handler: it is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stint_api::ExchangeReply;
use stint_core::{LeaseRef, Millis};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::repeat::{UNREAD_BYTES, bytes_of};

/// Replies kept for a worker that does not say that it read them. Each says all that those before it said.
const UNREAD_MAX: usize = 8;

/// The same in bytes, unless it is one reply.
const UNREAD_BYTES_KEPT: usize = 4 * UNREAD_BYTES;

/// A lease is renewed when this part of its time to live is over since the last renewal. Core puts a renewal after a
/// third: a fourth leaves room for commits, and still asks rarely.
const RENEW_PART: u32 = 4;

/// What an exchange says, as far as the conversation is concerned.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) n: u64,
    pub(crate) seen: u64,
    /// Leases that are listed, and whether progress was reported.
    pub(crate) listed: &'a [(LeaseRef, bool)],
    /// Leases that end.
    pub(crate) ended: &'a [LeaseRef],
    /// Leases whose steps are asked for or recorded.
    pub(crate) stepped: &'a [LeaseRef],
}

/// What an exchange is.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The next one.
    New(New),
    /// One whose reply stands.
    Again(Arc<ExchangeReply>),
    /// One that is under way: ask again when this says so.
    UnderWay(Arc<Notify>),
    /// Older than the newest, and its reply was read or is gone. What it says is done, and it gets nothing new.
    Late,
}

/// What a new exchange leads to.
#[derive(Default, Debug)]
pub(crate) struct New {
    /// Listed leases that want a heartbeat now, by their place in the list.
    pub(crate) renew: Vec<usize>,
    /// Leases that were given, read of, and not listed.
    pub(crate) unlisted: Vec<LeaseRef>,
    /// Replies that were not read.
    pub(crate) unread: Vec<Arc<ExchangeReply>>,
    /// What the largest of them holds: each says what those before it said.
    pub(crate) unread_bytes: usize,
}

#[derive(Debug)]
enum Reply {
    UnderWay(Arc<Notify>),
    Made(Arc<ExchangeReply>, usize),
}

/// A lease that the worker holds, or was given in a reply that it may not have read.
#[derive(Debug)]
struct Held {
    /// The exchange whose reply gave it; 0 if the worker listed it first.
    given_in: u64,
    ttl: Duration,
    renewed: Instant,
    /// The exchange whose reply asks the worker to stop, and by when.
    told: Option<(u64, Millis)>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Session {
    newest: u64,
    replies: BTreeMap<u64, Reply>,
    held: BTreeMap<LeaseRef, Held>,
    /// Leases whose end is under way, by the exchange that brought it: listing one is not worth an answer.
    ending: BTreeMap<LeaseRef, u64>,
    /// The exchange whose reply asks the worker to drain.
    told_to_drain: Option<u64>,
    heard: Instant,
}

impl Session {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            newest: 0,
            replies: BTreeMap::new(),
            held: BTreeMap::new(),
            ending: BTreeMap::new(),
            told_to_drain: None,
            heard: now,
        }
    }

    /// When it last spoke.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether `n` is the newest exchange.
    pub(crate) fn is_newest(&self, n: u64) -> bool {
        self.newest == n
    }

    /// Takes an exchange.
    pub(crate) fn begin(&mut self, said: &Said<'_>, now: Instant) -> Begun {
        self.heard = now;
        match self.replies.get(&said.n) {
            Some(Reply::Made(reply, _)) => return Begun::Again(reply.clone()),
            Some(Reply::UnderWay(made)) => return Begun::UnderWay(made.clone()),
            None if said.n <= self.newest => return Begun::Late,
            None => {}
        }
        self.newest = said.n;
        self.replies.retain(|n, _| *n > said.seen);
        self.ending.retain(|_, n| *n > said.seen);
        let made = || self.replies.values().filter_map(Reply::made);
        let unread = made().map(|(reply, _)| reply.clone()).collect();
        let unread_bytes = made().map(|(_, bytes)| bytes).max().unwrap_or(0);
        self.replies.insert(said.n, Reply::UnderWay(Arc::default()));
        for lease in said.ended {
            self.held.remove(lease);
            self.ending.insert(*lease, said.n);
        }
        Begun::New(New {
            renew: self.renewals(said, now),
            unlisted: self.unlisted(said),
            unread,
            unread_bytes,
        })
    }

    /// The reply to an exchange that was begun. It stands until it is known to be read.
    pub(crate) fn made(&mut self, n: u64, reply: &Arc<ExchangeReply>) {
        if let Some(Reply::UnderWay(made)) = self.replies.get(&n) {
            made.notify_waiters();
            self.replies.insert(n, Reply::Made(reply.clone(), bytes_of(reply)));
        }
        while self.keeps_too_much()
            && let Some((oldest, Reply::Made(..))) =
                self.replies.first_key_value().map(|(n, reply)| (*n, reply))
        {
            self.replies.remove(&oldest);
        }
    }

    /// Nobody waits any more for the reply to an exchange that was begun: if it comes again it is done again.
    pub(crate) fn abandoned(&mut self, n: u64) {
        if let Some(Reply::UnderWay(made)) = self.replies.get(&n) {
            made.notify_waiters();
            self.replies.remove(&n);
            for held in self.held.values_mut() {
                held.told = held.told.filter(|(told, _)| *told != n);
            }
            self.told_to_drain = self.told_to_drain.filter(|told| *told != n);
            // As if it had never come: sent again it is new.
            if self.newest == n {
                self.newest -= 1;
            }
        }
    }

    /// A lease that the reply to exchange `n` gives.
    pub(crate) fn gave(&mut self, n: u64, lease: LeaseRef, ttl: Duration, now: Instant) {
        self.held.insert(lease, Held { given_in: n, ttl, renewed: now, told: None });
    }

    /// A heartbeat sent at `sent` was taken: of its time to live, the lease has `left` from then. Says whether the lease was
    /// known.
    pub(crate) fn renewed(&mut self, lease: LeaseRef, left: Duration, ttl: Duration, sent: Instant) -> bool {
        let known = self.holds(lease);
        let held = self.held.entry(lease).or_insert(Held { given_in: 0, ttl, renewed: sent, told: None });
        held.ttl = ttl;
        held.renewed = sent.checked_sub(ttl.saturating_sub(left)).unwrap_or(sent);
        known
    }

    /// The reply to exchange `n` asks the worker to stop by `until`; whether none did before, or left more time.
    pub(crate) fn tell_to_stop(&mut self, n: u64, lease: LeaseRef, until: Millis) -> bool {
        let Some(held) = self.held.get_mut(&lease) else { return false };
        let is_news = held.told.is_none_or(|(_, told)| until < told);
        if is_news {
            held.told = Some((n, until));
        }
        is_news
    }

    /// Whether the worker that has read reply `seen` still has to be told to drain.
    pub(crate) fn must_hear_of_drain(&self, seen: u64) -> bool {
        self.told_to_drain.is_none_or(|told| told > seen)
    }

    /// The reply to exchange `n` asks the worker to drain.
    pub(crate) fn tell_to_drain(&mut self, n: u64) {
        self.told_to_drain.get_or_insert(n);
    }

    /// The lease is gone; whether the worker had it.
    pub(crate) fn lost(&mut self, lease: LeaseRef) -> bool {
        self.held.remove(&lease).is_some()
    }

    /// Whether the worker holds this lease, or was given it in a reply that it may not have read.
    pub(crate) fn holds(&self, lease: LeaseRef) -> bool {
        self.held.contains_key(&lease)
    }

    /// The lease that the worker holds of an execution.
    pub(crate) fn lease_of(&self, execution: stint_core::ExecutionId) -> Option<LeaseRef> {
        let bound = |epoch, token| LeaseRef { execution, epoch, token: stint_core::LeaseToken([token; 16]) };
        self.held.range(bound(0, 0)..=bound(u32::MAX, 255)).next_back().map(|(lease, _)| *lease)
    }

    /// All leases that its worker holds.
    pub(crate) fn leases(&self) -> impl Iterator<Item = LeaseRef> {
        self.held.keys().copied()
    }

    fn keeps_too_much(&self) -> bool {
        let made = || self.replies.values().filter_map(Reply::made);
        let bytes: usize = made().map(|(_, bytes)| bytes).sum();
        self.replies.len() > UNREAD_MAX || bytes > UNREAD_BYTES_KEPT && made().count() > 1
    }

    fn renewals(&self, said: &Said<'_>, now: Instant) -> Vec<usize> {
        let wants = |(lease, progressed): &(LeaseRef, bool)| {
            if self.ending.contains_key(lease) {
                return false;
            }
            *progressed
                || self
                    .held
                    .get(lease)
                    .is_none_or(|held| now.duration_since(held.renewed) >= held.ttl / RENEW_PART)
        };
        let listed = said.listed.iter().enumerate();
        listed.filter(|(_, listed)| wants(listed)).map(|(place, _)| place).collect()
    }

    /// Forgets leases that the worker must know of and does not list, and names those to be given back: all that an
    /// exchange gave, but none from a plain claim.
    fn unlisted(&mut self, said: &Said<'_>) -> Vec<LeaseRef> {
        let listed: BTreeSet<LeaseRef> =
            said.listed.iter().map(|(lease, _)| *lease).chain(said.stepped.iter().copied()).collect();
        let mut unlisted = Vec::new();
        self.held.retain(|lease, held| {
            let keeps = held.given_in > said.seen || listed.contains(lease);
            if !keeps && held.given_in > 0 {
                unlisted.push(*lease);
            }
            keeps
        });
        unlisted
    }
}

impl Reply {
    fn made(&self) -> Option<(&Arc<ExchangeReply>, usize)> {
        match self {
            Self::Made(reply, bytes) => Some((reply, *bytes)),
            Self::UnderWay(_) => None,
        }
    }
}
