//! Workers seen lately: soft state, for `GET workers` and for saying why nobody runs a piece of work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stint_api::{Instant as At, WorkerInfo};
use stint_core::Millis;
use stint_core::command::ClaimFilter;
use stint_core::model::Group;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::exchange::session_id;

/// A worker that was heard this lately counts as there: half as long again as the longest wait of an exchange.
const LATELY: Duration = Duration::from_secs(90);

/// A worker that has no call under way for this long takes no work at present: between two calls it works, or tries to come
/// through.
const BETWEEN_CALLS: Duration = Duration::from_secs(10);

/// Workers remembered; beyond it those that are gone are forgotten.
const REMEMBERED: usize = 10_000;

/// Who spoke, and what it said of itself.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) name: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) capabilities: &'a [String],
    pub(crate) slots: u32,
    /// Whether it drains, as its session knows.
    pub(crate) draining: bool,
}

/// What keeps work from every worker that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lack {
    /// No worker serves the lane.
    Lane,
    /// None of those runs the kind.
    Kind,
    /// None of those fulfils the requirements; the first that each of them alone fails, or all together.
    Capability(Vec<String>),
}

/// Namespace, name, session.
type WorkerKey = (Arc<str>, String, Option<String>);

#[derive(Debug)]
struct Seen {
    version: Option<String>,
    capabilities: Vec<String>,
    filter: Arc<ClaimFilter>,
    slots: u32,
    draining: bool,
    /// When its last call began or ended.
    at: Instant,
    seen_at: Millis,
    /// Its calls that are under way.
    calls: usize,
    /// It was noted that it takes no work at present.
    lost: bool,
}

impl Seen {
    /// Whether its next claim is under way, or about to come.
    fn takes_work(&self, now: Instant) -> bool {
        !self.draining && (self.calls > 0 || now.duration_since(self.at) < BETWEEN_CALLS)
    }
}

/// A worker's call that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    workers: &'a Workers,
    key: WorkerKey,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.workers.lock().get_mut(&self.key) {
            worker.calls -= 1;
            worker.at = Instant::now();
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Workers {
    seen: Mutex<BTreeMap<WorkerKey, Seen>>,
    /// Some worker serves something else now.
    changed: AtomicBool,
    /// Some worker is there that was not.
    came: Notify,
    /// Some worker was asked to drain.
    drained: Notify,
}

impl Workers {
    /// Notes that a worker spoke; its call is under way until what this gives is dropped.
    pub(crate) fn heard(&self, heard: &Heard<'_>, filter: &Arc<ClaimFilter>, seen_at: Millis) -> Call<'_> {
        let now = Instant::now();
        let key = (filter.namespace.clone(), heard.name.to_owned(), heard.session.map(str::to_owned));
        let mut seen = self.lock();
        if seen.len() >= REMEMBERED && !seen.contains_key(&key) {
            seen.retain(|_, worker| worker.calls > 0 || now.duration_since(worker.at) < LATELY);
        }
        match seen.get_mut(&key) {
            Some(worker) => {
                worker.at = now;
                worker.calls += 1;
                if worker.lost && !worker.draining {
                    worker.lost = false;
                    self.came.notify_waiters();
                }
                worker.seen_at = seen_at;
                worker.slots = heard.slots;
                worker.draining |= heard.draining;
                if !Arc::ptr_eq(&worker.filter, filter) {
                    if worker.filter != *filter {
                        self.changed.store(true, Release);
                    }
                    worker.filter = filter.clone();
                    worker.capabilities = heard.capabilities.to_vec();
                    worker.version = heard.version.map(str::to_owned);
                }
            }
            None => {
                let worker = Seen {
                    version: heard.version.map(str::to_owned),
                    capabilities: heard.capabilities.to_vec(),
                    filter: filter.clone(),
                    slots: heard.slots,
                    draining: heard.draining,
                    at: now,
                    seen_at,
                    calls: 1,
                    lost: false,
                };
                seen.insert(key.clone(), worker);
                self.came.notify_waiters();
            }
        }
        Call { workers: self, key }
    }

    /// Resolves when some worker takes less work than when this was last called: it is gone, drains, or serves something else.
    pub(crate) async fn loses(&self) {
        loop {
            // Who comes from here on wakes this.
            let came = self.came.notified();
            if self.has_lost() {
                return;
            }
            match self.next_look() {
                Some(at) => tokio::time::sleep_until(at).await,
                // Nobody is there.
                None => came.await,
            }
        }
    }

    /// When the next worker may be gone.
    fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        let next = |worker: &Seen| if worker.calls > 0 { now } else { worker.at } + BETWEEN_CALLS;
        self.lock().values().filter(|worker| !worker.lost).map(next).min()
    }

    fn has_lost(&self) -> bool {
        let now = Instant::now();
        let mut has_lost = self.changed.swap(false, AcqRel);
        for worker in self.lock().values_mut().filter(|worker| !worker.lost && !worker.takes_work(now)) {
            worker.lost = true;
            has_lost = true;
        }
        has_lost
    }

    /// Whether a worker may take the group's work before long: one that could run it is there, if only between two calls.
    pub(crate) fn may_take(&self, group: &Group) -> bool {
        let now = Instant::now();
        self.lock().values().any(|worker| worker.takes_work(now) && worker.filter.matches(group))
    }

    /// Asks a worker that is there to finish what it holds and end. Its session, if it has one; `None`: there is no such
    /// worker.
    pub(crate) fn drain(&self, namespace: &str, id: &str) -> Option<Option<String>> {
        let (name, session) = parts(id);
        let key = (Arc::from(namespace), name.to_owned(), session.map(str::to_owned));
        let now = Instant::now();
        let mut seen = self.lock();
        let worker = seen.get_mut(&key).filter(|worker| now.duration_since(worker.at) < LATELY)?;
        worker.draining = true;
        drop(seen);
        self.drained.notify_waiters();
        Some(key.2)
    }

    /// Resolves as soon as a worker without a session is to drain.
    pub(crate) async fn drains(&self, namespace: &str, name: &str) {
        let key = (Arc::from(namespace), name.to_owned(), None);
        loop {
            // Whoever drains from here on wakes this.
            let drained = self.drained.notified();
            if self.lock().get(&key).is_some_and(|worker| worker.draining) {
                return;
            }
            drained.await;
        }
    }

    /// Those that are there, by name; `held` says how many leases a name and session hold.
    pub(crate) fn list(&self, namespace: &str, held: &BTreeMap<(Arc<str>, u64), u64>) -> Vec<WorkerInfo> {
        let now = Instant::now();
        let mut seen = self.lock();
        seen.retain(|_, worker| worker.calls > 0 || now.duration_since(worker.at) < LATELY);
        let leases = |name: &str, session: Option<&str>| {
            let session = session.map_or(0, |session| session_id(namespace, session));
            held.get(&(Arc::from(name), session)).copied().unwrap_or(0)
        };
        let texts = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect();
        seen.iter()
            .filter(|((of, _, _), _)| &**of == namespace)
            .map(|((_, name, session), worker)| WorkerInfo {
                id: id_of(name, session.as_deref()),
                leases: leases(name, session.as_deref()),
                draining: worker.draining,
                name: name.clone(),
                session: session.clone(),
                version: worker.version.clone(),
                capabilities: worker.capabilities.clone(),
                lanes: texts(&worker.filter.lanes),
                kinds: texts(&worker.filter.kinds),
                slots: worker.slots,
                seen_at: At::from_millis(worker.seen_at),
            })
            .collect()
    }

    /// Why no worker that is there can run the group's work; `None` if one can.
    pub(crate) fn lack(&self, group: &Group) -> Option<Lack> {
        let now = Instant::now();
        let seen = self.lock();
        // One that drains takes nothing more.
        let there = |worker: &&Seen| !worker.draining && now.duration_since(worker.at) < LATELY;
        let there = seen.values().filter(there);
        let lane: Vec<&ClaimFilter> = there
            .map(|worker| &*worker.filter)
            .filter(|filter| filter.namespace == group.namespace && filter.lanes.contains(&group.lane))
            .collect();
        if lane.is_empty() {
            return Some(Lack::Lane);
        }
        let kind: Vec<&ClaimFilter> = lane
            .into_iter()
            .filter(|filter| filter.kinds.is_empty() || filter.kinds.contains(&group.kind))
            .collect();
        if kind.is_empty() {
            return Some(Lack::Kind);
        }
        if kind.iter().any(|filter| filter.capabilities.can_serve(group)) {
            return None;
        }
        let nobody = |requirement: &&stint_core::model::Requirement| {
            !kind.iter().any(|filter| requirement.holds(&filter.capabilities))
        };
        let mut missing: Vec<String> =
            group.requires.iter().filter(nobody).map(|requirement| requirement.text().to_owned()).collect();
        if missing.is_empty() {
            // Each is fulfilled by somebody, but not all by one.
            missing = group.requires.iter().map(|requirement| requirement.text().to_owned()).collect();
        }
        Some(Lack::Capability(missing))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerKey, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between a name and a session, in neither of which it can stand.
const SEPARATOR: char = '~';

fn id_of(name: &str, session: Option<&str>) -> String {
    match session {
        Some(session) => format!("{name}{SEPARATOR}{session}"),
        None => name.to_owned(),
    }
}

fn parts(id: &str) -> (&str, Option<&str>) {
    id.split_once(SEPARATOR).map_or((id, None), |(name, session)| (name, Some(session)))
}

#[cfg(test)]
mod tests {
    use stint_core::model::{Capabilities, Requirement};

    use super::*;

    fn filter(lanes: &[&str], kinds: &[&str], capabilities: &[&str]) -> Arc<ClaimFilter> {
        Arc::new(ClaimFilter {
            namespace: "default".into(),
            lanes: lanes.iter().map(|l| Arc::from(*l)).collect(),
            kinds: kinds.iter().map(|k| Arc::from(*k)).collect(),
            capabilities: Capabilities::parse(capabilities.iter().copied()),
        })
    }

    fn group(lane: &str, kind: &str, requires: &[&str]) -> Group {
        let requires = requires.iter().map(|r| Requirement::parse(r).unwrap()).collect();
        Group { namespace: "default".into(), lane: lane.into(), kind: kind.into(), requires }
    }

    fn hear<'a>(workers: &'a Workers, name: &str, filter: &Arc<ClaimFilter>) -> Call<'a> {
        let (session, version) = (None, None);
        let heard = Heard { name, session, version, capabilities: &[], slots: 1, draining: false };
        workers.heard(&heard, filter, 5)
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_takes_work_while_it_asks_and_a_little_longer() {
        let workers = Workers::default();
        let (a, b) = (group("a", "k", &[]), group("b", "k", &[]));
        let calls = [
            hear(&workers, "one", &filter(&["a"], &[], &[])),
            hear(&workers, "two", &filter(&["b"], &[], &[])),
        ];
        tokio::time::advance(LATELY).await;
        assert!(workers.may_take(&a) && workers.may_take(&b) && !workers.has_lost());
        drop(calls);
        tokio::time::advance(BETWEEN_CALLS / 2).await;
        let one = hear(&workers, "one", &filter(&["a"], &[], &[]));
        assert!(!workers.has_lost());
        tokio::time::advance(BETWEEN_CALLS / 2).await;
        assert!(workers.may_take(&a) && !workers.may_take(&b));
        assert_eq!([workers.has_lost(), workers.has_lost()], [true, false]);
        // What it serves no longer, it takes no longer.
        let _other = hear(&workers, "one", &filter(&["b"], &[], &[]));
        assert!(!workers.may_take(&a) && workers.may_take(&b) && workers.has_lost());
        drop(one);
        assert!(workers.may_take(&b));
        workers.drain("default", "one").unwrap();
        assert!(!workers.may_take(&b) && workers.has_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lacking_is_the_first_thing_that_keeps_everybody_away() {
        let workers = Workers::default();
        assert_eq!(workers.lack(&group("a", "k", &[])), Some(Lack::Lane));
        _ = hear(&workers, "one", &filter(&["a"], &["k"], &["gpu"]));
        _ = hear(&workers, "two", &filter(&["a"], &["k"], &["big"]));
        for (group, lack) in [
            (group("b", "k", &[]), Some(Lack::Lane)),
            (group("a", "other", &[]), Some(Lack::Kind)),
            (group("a", "k", &["gpu"]), None),
            (group("a", "k", &["gpu", "tpu"]), Some(Lack::Capability(vec!["tpu".into()]))),
            (group("a", "k", &["gpu", "big"]), Some(Lack::Capability(vec!["gpu".into(), "big".into()]))),
        ] {
            assert_eq!(workers.lack(&group), lack, "{group:?}");
        }
        assert_eq!(workers.drain("default", "one"), Some(None));
        assert_eq!(workers.lack(&group("a", "k", &["gpu"])), Some(Lack::Capability(vec!["gpu".into()])));
        tokio::time::advance(LATELY).await;
        assert_eq!(workers.lack(&group("a", "k", &["big"])), Some(Lack::Lane));
        assert!(workers.list("default", &BTreeMap::new()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_listed_as_it_last_spoke() {
        let workers = Workers::default();
        _ = hear(&workers, "one", &filter(&["a"], &[], &[]));
        _ = hear(&workers, "one", &filter(&["b"], &["k"], &[]));
        let list = workers.list("default", &BTreeMap::new());
        assert_eq!(list.len(), 1);
        assert_eq!(
            (list[0].lanes.clone(), list[0].kinds.clone()),
            (vec!["b".to_owned()], vec!["k".to_owned()])
        );
        assert!(workers.list("other", &BTreeMap::new()).is_empty());
    }
}
