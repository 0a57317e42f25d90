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

/// Commands under way for each session in use.
const COMMANDS_PER_SESSION: usize = 32;

/// The sessions of one client, shared by its clones.
#[derive(Debug)]
pub(crate) struct Sessions {
    randomness: Randomness,
    open: Mutex<Open>,
}

/// A command under way: its key, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Keyed {
    sessions: Arc<Sessions>,
    /// `<session>.<n>`, the same for every send of this command.
    pub(crate) key: String,
}

#[derive(Debug, Default)]
struct Open {
    sessions: Vec<Session>,
    under_way: usize,
    turn: usize,
}

#[derive(Debug)]
struct Session {
    name: String,
    n: u64,
    born: Instant,
}

impl Sessions {
    pub(crate) fn new(randomness: Randomness) -> Arc<Self> {
        Arc::new(Self { randomness, open: Mutex::default() })
    }

    /// The key of a new command.
    pub(crate) fn next(self: &Arc<Self>) -> Keyed {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.under_way += 1;
        let wanted = (open.under_way / COMMANDS_PER_SESSION).max(1);
        open.sessions.truncate(wanted);
        open.sessions.retain(|session| now.duration_since(session.born) < SESSION_AGE);
        while open.sessions.len() < wanted {
            open.sessions.push(Session { name: self.randomness.session(), n: 0, born: now });
        }
        open.turn = open.turn.wrapping_add(1);
        let turn = open.turn % wanted;
        let key = match open.sessions.get_mut(turn) {
            Some(session) => {
                session.n += 1;
                format!("{}.{}", session.name, session.n)
            }
            None => format!("{}.1", self.randomness.session()),
        };
        Keyed { sessions: Arc::clone(self), key }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner).under_way -= 1;
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
        let first = sessions.next().key.clone();
        let second = sessions.next().key.clone();
        assert_eq!(first.strip_suffix(".1"), second.strip_suffix(".2"));
        tokio::time::advance(SESSION_AGE).await;
        let third = sessions.next().key.clone();
        assert!(third.ends_with(".1") && third != first);
    }

    #[tokio::test(start_paused = true)]
    async fn many_commands_spread_over_a_thirty_second_as_many_sessions() {
        let sessions = Sessions::new(Randomness::from_seed(2));
        let held: Vec<Keyed> = (0..256).map(|_| sessions.next()).collect();
        let names: BTreeSet<String> = held.iter().skip(128).map(session_of).collect();
        assert!((4..=9).contains(&names.len()), "{}", names.len());
        let keys: BTreeSet<&str> = held.iter().map(|keyed| keyed.key.as_str()).collect();
        assert_eq!(keys.len(), 256);
        drop(held);
        let next = sessions.next();
        assert!(names.contains(&session_of(&next)));
    }
}
