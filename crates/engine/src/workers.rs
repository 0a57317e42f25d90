//! Workers seen lately: soft state, for `GET workers` and for saying why nobody runs a piece of work.

use std::collections::BTreeMap;
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
    at: Instant,
    seen_at: Millis,
}

#[derive(Default, Debug)]
pub(crate) struct Workers {
    seen: Mutex<BTreeMap<WorkerKey, Seen>>,
    /// Some worker was asked to drain.
    drained: Notify,
}

impl Workers {
    /// Notes that a worker spoke.
    pub(crate) fn heard(&self, heard: &Heard<'_>, filter: &Arc<ClaimFilter>, seen_at: Millis) {
        let now = Instant::now();
        let key = (filter.namespace.clone(), heard.name.to_owned(), heard.session.map(str::to_owned));
        let mut seen = self.lock();
        if seen.len() >= REMEMBERED && !seen.contains_key(&key) {
            seen.retain(|_, worker| now.duration_since(worker.at) < LATELY);
        }
        match seen.get_mut(&key) {
            Some(worker) => {
                worker.at = now;
                worker.seen_at = seen_at;
                worker.slots = heard.slots;
                worker.draining |= heard.draining;
                if !Arc::ptr_eq(&worker.filter, filter) {
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
                };
                seen.insert(key, worker);
            }
        }
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
        seen.retain(|_, worker| now.duration_since(worker.at) < LATELY);
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

    fn hear(workers: &Workers, name: &str, filter: &Arc<ClaimFilter>) {
        let (session, version) = (None, None);
        let heard = Heard { name, session, version, capabilities: &[], slots: 1, draining: false };
        workers.heard(&heard, filter, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lacking_is_the_first_thing_that_keeps_everybody_away() {
        let workers = Workers::default();
        assert_eq!(workers.lack(&group("a", "k", &[])), Some(Lack::Lane));
        hear(&workers, "one", &filter(&["a"], &["k"], &["gpu"]));
        hear(&workers, "two", &filter(&["a"], &["k"], &["big"]));
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
        hear(&workers, "one", &filter(&["a"], &[], &[]));
        hear(&workers, "one", &filter(&["b"], &["k"], &[]));
        let list = workers.list("default", &BTreeMap::new());
        assert_eq!(list.len(), 1);
        assert_eq!(
            (list[0].lanes.clone(), list[0].kinds.clone()),
            (vec!["b".to_owned()], vec!["k".to_owned()])
        );
        assert!(workers.list("other", &BTreeMap::new()).is_empty());
    }
}
