//! All conversations of this node: soft state, forgotten ten minutes after a worker's last word.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stint_core::Millis;
use stint_core::command::ClaimFilter;
use stint_core::key::name_hash;
use tokio::sync::watch;
use tokio::time::Instant;

use super::session::Session;
use crate::hub::Parked;
use crate::waiters::{Mail, Waiters};

/// A worker that says nothing for this long is forgotten; its leases expire on their own.
const SILENCE: Duration = Duration::from_secs(600);

/// How often the forgotten are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Exchanges remembered of a worker that has read no reply of this node yet.
const STRANGE_MAX: usize = 8;

/// Namespace and session.
type Name = (String, String);

/// A conversation, and what hangs on it.
#[derive(Debug)]
pub(crate) struct Live {
    /// What leases know the session by; never 0.
    pub(crate) id: u64,
    /// Stops for its leases.
    pub(crate) mail: Arc<Mail>,
    /// The newest exchange: a parked one watches it.
    pub(crate) newest: watch::Sender<u64>,
    /// Whether its worker was asked to finish what it holds and end.
    draining: AtomicBool,
    talk: Mutex<Talk>,
}

/// What changes from exchange to exchange.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) session: Session,
    /// The claim of the exchange that is parked.
    pub(crate) parked: Option<(u64, Parked)>,
    /// What the worker said last that it can serve.
    pub(crate) filter: Option<Arc<ClaimFilter>>,
    /// Exchanges taken since this node knows the session, by number, with when; `None` once its worker has read a reply
    /// of this node.
    pub(crate) strange: Option<BTreeMap<u64, Millis>>,
}

impl Live {
    fn new(name: &Name) -> Self {
        let id = session_id(&name.0, &name.1);
        let session = Session::new(Instant::now());
        let talk = Talk { session, parked: None, filter: None, strange: Some(BTreeMap::new()) };
        let (newest, talk) = (watch::Sender::new(0), Mutex::new(talk));
        Self { id, mail: Arc::default(), newest, draining: AtomicBool::new(false), talk }
    }

    /// Whether its worker gets no more leases.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Acquire)
    }

    /// No more leases for its worker, which is told at once.
    fn drain(&self) {
        self.draining.store(true, Release);
        self.mail.arrived.notify_one();
    }

    pub(crate) fn talk(&self) -> MutexGuard<'_, Talk> {
        // A defect that panics under this lock ends one worker's conversation, which starts anew after its silence.
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    /// Notes an exchange. When it is the first that its worker sent after reading a reply of this node, says when the exchange of
    /// that reply came: of leases given before, it names all that ever reached it.
    pub(crate) fn meet(&mut self, n: u64, seen: u64, now: Millis) -> Option<Millis> {
        let strange = self.strange.as_mut()?;
        if let Some(began) = strange.get(&seen).copied() {
            self.strange = None;
            return Some(began);
        }
        strange.insert(n, now);
        while strange.len() > STRANGE_MAX {
            strange.pop_first();
        }
        None
    }

    /// What the worker can serve, shared with its last exchange if it said the same.
    pub(crate) fn filter(&mut self, now: ClaimFilter) -> Arc<ClaimFilter> {
        match &self.filter {
            Some(before) if **before == now => before.clone(),
            _ => self.filter.insert(Arc::new(now)).clone(),
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Sessions {
    all: Mutex<All>,
}

#[derive(Default, Debug)]
struct All {
    live: BTreeMap<Name, Arc<Live>>,
    swept: Option<Instant>,
}

impl Sessions {
    /// Drains the worker of this conversation, if there is one.
    pub(crate) fn drain(&self, namespace: &str, session: &str) {
        let name = (namespace.to_owned(), session.to_owned());
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = all.live.get(&name) {
            live.drain();
        }
    }

    /// The conversation of this name, begun if there is none.
    pub(crate) fn of(&self, namespace: &str, session: &str, waiters: &Waiters) -> Arc<Live> {
        let name = (namespace.to_owned(), session.to_owned());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if all.swept.is_none_or(|at| now.duration_since(at) >= SWEEP) {
            all.swept = Some(now);
            all.live.retain(|_, live| keep(live, now, waiters));
        }
        all.live.entry(name).or_insert_with_key(|name| Arc::new(Live::new(name))).clone()
    }
}

/// What leases know a session by; never 0.
pub(crate) fn session_id(namespace: &str, session: &str) -> u64 {
    let hash = name_hash(namespace, session);
    hash.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte)).max(1)
}

fn keep(live: &Live, now: Instant, waiters: &Waiters) -> bool {
    let talk = live.talk();
    let keeps = now.duration_since(talk.session.heard()) < SILENCE;
    if !keeps {
        talk.session.leases().for_each(|lease| waiters.let_go(lease));
    }
    keeps
}
