//! `Idempotency-Key: <session>.<n>` for every POST.
//!
//! The server routes such a key by its session alone and derives the ids of what the request makes from the
//! key. So re-sending is safe without a stored reply, and the number of sessions in use decides over how many
//! partitions a client's commands spread: few while few commands are under way, so that batches stay large.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Randomness;

/// How long a session is used. The server may look up keys of a session for as long as its ids say.
const SESSION_AGE: Duration = Duration::from_secs(10);

/// Commands under way for each session in use. Each execution of a batch is one.
const COMMANDS_PER_SESSION: usize = 32;

/// The sessions of one client, shared by its clones.
#[derive(Debug)]
pub(crate) struct Sessions {
    randomness: Randomness,
    open: Mutex<Open>,
}

/// A request under way: its key, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Keyed {
    sessions: Arc<Sessions>,
    session: Arc<str>,
    commands: usize,
    /// `<session>.<n>`, the same for every send of this request.
    pub(crate) key: String,
}

#[derive(Debug, Default)]
struct Open {
    sessions: Vec<Session>,
    requests: usize,
    commands: usize,
}

#[derive(Debug)]
struct Session {
    name: Arc<str>,
    n: u64,
    born: Instant,
    under_way: usize,
}

impl Sessions {
    pub(crate) fn new(randomness: Randomness) -> Arc<Self> {
        Arc::new(Self { randomness, open: Mutex::default() })
    }

    /// The key of a new request that brings so many commands.
    pub(crate) fn next(self: &Arc<Self>, commands: usize) -> Keyed {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.requests += 1;
        open.commands += commands;
        // More sessions than requests would only mean that each is rarely used.
        let wanted = (open.commands / COMMANDS_PER_SESSION).min(open.requests).max(1);
        open.sessions.retain(|session| now.duration_since(session.born) < SESSION_AGE);
        while open.sessions.len() < wanted {
            let name = self.randomness.session().into();
            open.sessions.push(Session { name, n: 0, born: now, under_way: 0 });
        }
        // Those beyond stay for when there is more to do again: a new name would be a further partition.
        let in_use = open.sessions.iter_mut().take(wanted);
        let (session, n) = match in_use.min_by_key(|session| session.under_way) {
            Some(session) => {
                session.n += 1;
                session.under_way += commands;
                (Arc::clone(&session.name), session.n)
            }
            None => (self.randomness.session().into(), 1),
        };
        let key = format!("{session}.{n}");
        Keyed { sessions: Arc::clone(self), session, commands, key }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        let mut open = self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.requests -= 1;
        open.commands -= self.commands;
        // It may have been retired meanwhile.
        if let Some(session) = open.sessions.iter_mut().find(|session| session.name == self.session) {
            session.under_way -= self.commands;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn session_of(keyed: &Keyed) -> String {
        keyed.key.split('.').next().unwrap_or_default().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_command_reuses_its_session_for_ten_seconds() {
        let sessions = Sessions::new(Randomness::from_seed(1));
        let first = sessions.next(1).key.clone();
        let second = sessions.next(1).key.clone();
        assert_eq!(first.strip_suffix(".1"), second.strip_suffix(".2"));
        tokio::time::advance(SESSION_AGE).await;
        let third = sessions.next(1).key.clone();
        assert!(third.ends_with(".1") && third != first);
    }

    #[tokio::test(start_paused = true)]
    async fn many_commands_spread_over_a_thirty_second_as_many_sessions() {
        let sessions = Sessions::new(Randomness::from_seed(2));
        let held: Vec<Keyed> = (0..256).map(|_| sessions.next(1)).collect();
        let names: BTreeSet<String> = held.iter().map(session_of).collect();
        assert_eq!(names.len(), 8);
        let keys: BTreeSet<&str> = held.iter().map(|keyed| keyed.key.as_str()).collect();
        assert_eq!(keys.len(), 256);
        drop(held);
        let next = sessions.next(1);
        assert!(names.contains(&session_of(&next)));
    }

    #[tokio::test(start_paused = true)]
    async fn batches_count_by_what_they_hold_but_a_lone_one_needs_one_session() {
        let sessions = Sessions::new(Randomness::from_seed(3));
        let held: Vec<Keyed> = (0..8).map(|_| sessions.next(1_000)).collect();
        let names: BTreeSet<String> = held.iter().map(session_of).collect();
        assert!((4..=8).contains(&names.len()), "{names:?}");
        drop(held);
        let third = session_of(&sessions.next(1_000));
        assert_eq!(third, session_of(&sessions.next(1_000)));
    }
}
