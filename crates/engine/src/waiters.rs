//! Who waits for what partitions publish: ends of executions, all that happens to one, leases that are taken away, lanes
//! that changed.
//!
//! Whoever waits registers first and reads second, so nothing that happens in between is missed. Publishing costs a
//! lock per batch and a look-up per event that somebody could wait for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stint_core::{Event, EventKind, ExecutionId, LeaseRef, PARTITIONS, PartitionId};
use tokio::sync::{Notify, broadcast, watch};

/// Stops of leases that nobody held yet are remembered up to twice this many per partition: the time between a lease's
/// commit and the reply that carries it.
const UNHEARD_MAX: usize = 1_024;

/// Changes of lanes that a listener may be behind.
const SETTINGS_CHANGES: usize = 1_024;

/// A lease that its worker must stop working under, or be asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) execution: ExecutionId,
    pub(crate) attempt: u32,
    pub(crate) kind: EventKind,
}

/// Where a session's stops collect until an exchange takes them.
#[derive(Default, Debug)]
pub(crate) struct Mail {
    taken: Mutex<Vec<(LeaseRef, Taken)>>,
    pub(crate) arrived: Notify,
}

impl Mail {
    /// Everything that arrived since the last call, with the lease that was held then: parked work goes on as the same
    /// attempt under another.
    pub(crate) fn take(&self) -> Vec<(LeaseRef, Taken)> {
        std::mem::take(&mut lock(&self.taken))
    }

    /// Whether something has arrived that nobody has taken.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.taken).is_empty()
    }

    /// What was taken, and reached nobody, is there again.
    pub(crate) fn put_back(&self, taken: Vec<(LeaseRef, Taken)>) {
        taken.into_iter().for_each(|(lease, taken)| self.put(lease, taken));
    }

    fn put(&self, lease: LeaseRef, taken: Taken) {
        lock(&self.taken).push((lease, taken));
        self.arrived.notify_one();
    }
}

/// What partitions publish, and who waits for it.
#[derive(Debug)]
pub struct Waiters {
    shards: Vec<Mutex<Shard>>,
    settings: broadcast::Sender<PartitionId>,
}

#[derive(Default, Debug)]
struct Shard {
    ends: BTreeMap<ExecutionId, Waiting>,
    /// Executions that somebody follows.
    watched: BTreeMap<ExecutionId, watch::Sender<()>>,
    holders: BTreeMap<ExecutionId, Holder>,
    /// Stops that found no holder: of late, and before that.
    unheard: [BTreeMap<ExecutionId, Taken>; 2],
}

#[derive(Default, Debug)]
struct Waiting {
    count: usize,
    ended: Arc<Notify>,
}

#[derive(Debug)]
struct Holder {
    lease: LeaseRef,
    attempt: u32,
    mail: Arc<Mail>,
}

/// A wait for an execution's end, registered.
#[derive(Debug)]
pub(crate) struct EndWait<'a> {
    waiters: &'a Waiters,
    id: ExecutionId,
    ended: Arc<Notify>,
}

impl Default for Waiters {
    fn default() -> Self {
        let shards = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        Self { shards, settings: broadcast::channel(SETTINGS_CHANGES).0 }
    }
}

impl Waiters {
    /// With nobody waiting.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What happened in a partition, once it is committed; batches in order.
    pub fn publish(&self, partition: PartitionId, events: &[Event]) {
        let Some(shard) = self.shards.get(usize::from(partition.0)) else { return };
        let mut shard = lock(shard);
        let mut copied = false;
        for event in events {
            let Some(id) = event.execution else {
                copied |= matches!(
                    event.kind,
                    EventKind::LaneChanged | EventKind::PricesChanged | EventKind::NamespaceChanged
                );
                continue;
            };
            if let Some(watched) = shard.watched.get(&id) {
                watched.send_replace(());
            }
            if event.kind.is_end()
                && let Some(waiting) = shard.ends.get(&id)
            {
                waiting.ended.notify_waiters();
            }
            if event.kind.takes_lease() {
                shard.take_lease(Taken { execution: id, attempt: event.attempt, kind: event.kind });
            }
        }
        drop(shard);
        if copied {
            // Nobody listens as a rule.
            _ = self.settings.send(partition);
        }
    }

    /// Registers a wait for an execution's end.
    pub(crate) fn wait_for_end(&self, id: ExecutionId) -> EndWait<'_> {
        let ended = match self.shard(id) {
            Some(mut shard) => {
                let waiting = shard.ends.entry(id).or_default();
                waiting.count += 1;
                waiting.ended.clone()
            }
            None => Arc::default(),
        };
        EndWait { waiters: self, id, ended }
    }

    /// Begins to watch an execution.
    pub(crate) fn watch(self: &Arc<Self>, id: ExecutionId) -> Watched {
        let happened = match self.shard(id) {
            Some(mut shard) => shard.watched.entry(id).or_insert_with(|| watch::Sender::new(())).subscribe(),
            // An id that no partition has: nothing ever happens to it.
            None => watch::Sender::new(()).subscribe(),
        };
        Watched { waiters: Arc::clone(self), id, happened: Some(happened) }
    }

    /// How many executions are watched.
    pub(crate) fn watched(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).watched.len()).sum()
    }

    /// Partitions whose copy of settings or of a price table changed, from now on.
    pub(crate) fn copied(&self) -> broadcast::Receiver<PartitionId> {
        self.settings.subscribe()
    }

    /// From now on stops of this lease go to `mail`; one of this attempt that came already goes there at once. Only for
    /// leases known to be real, and nothing if a later one of the execution is held.
    pub(crate) fn hold(&self, lease: LeaseRef, attempt: u32, mail: &Arc<Mail>) {
        let Some(mut shard) = self.shard(lease.execution) else { return };
        if shard.holders.get(&lease.execution).is_some_and(|holder| holder.lease.epoch > lease.epoch) {
            return;
        }
        let missed = shard.unheard.iter_mut().find_map(|unheard| unheard.remove(&lease.execution));
        // A park came before this lease: its execution goes on as the same attempt.
        let is_of_this = |taken: &Taken| attempt == taken.attempt && taken.kind != EventKind::Suspended;
        if let Some(taken) = missed.filter(is_of_this) {
            mail.put(lease, taken);
        }
        shard.holders.insert(lease.execution, Holder { lease, attempt, mail: mail.clone() });
    }

    /// The lease is no longer held.
    pub(crate) fn let_go(&self, lease: LeaseRef) {
        let Some(mut shard) = self.shard(lease.execution) else { return };
        if shard.holders.get(&lease.execution).is_some_and(|holder| holder.lease == lease) {
            shard.holders.remove(&lease.execution);
        }
    }

    fn shard(&self, id: ExecutionId) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(usize::from(id.partition().0)).map(lock)
    }
}

impl Shard {
    fn take_lease(&mut self, taken: Taken) {
        match self.holders.get(&taken.execution) {
            Some(holder) if holder.attempt == taken.attempt => {
                holder.mail.put(holder.lease, taken);
            }
            _ => {
                let [late, early] = &mut self.unheard;
                if late.len() >= UNHEARD_MAX {
                    std::mem::swap(late, early);
                    late.clear();
                }
                late.insert(taken.execution, taken);
            }
        }
    }
}

impl EndWait<'_> {
    /// A future that is ready when the execution ends after this call.
    pub(crate) fn ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.ended.notified()
    }
}

impl Drop for EndWait<'_> {
    fn drop(&mut self) {
        let Some(mut shard) = self.waiters.shard(self.id) else { return };
        if let Some(waiting) = shard.ends.get_mut(&self.id) {
            waiting.count -= 1;
            if waiting.count == 0 {
                shard.ends.remove(&self.id);
            }
        }
    }
}

/// An execution that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    waiters: Arc<Waiters>,
    id: ExecutionId,
    /// Taken only when it is dropped.
    happened: Option<watch::Receiver<()>>,
}

impl Watched {
    /// What happens from now on wakes [`Watched::happened`].
    pub(crate) fn seen(&mut self) {
        if let Some(happened) = &mut self.happened {
            happened.mark_unchanged();
        }
    }

    /// Ready when something has happened since [`Watched::seen`].
    pub(crate) async fn happened(&mut self) {
        if let Some(happened) = &mut self.happened
            && happened.changed().await.is_ok()
        {
            return;
        }
        // Without a sender nothing happens any more.
        std::future::pending().await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.happened.take());
        let Some(mut shard) = self.waiters.shard(self.id) else { return };
        if shard.watched.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            shard.watched.remove(&self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use stint_core::LeaseToken;

    use super::*;

    fn event(id: ExecutionId, kind: EventKind, attempt: u32) -> Event {
        Event::of(0, kind, id, attempt)
    }

    fn lease(id: ExecutionId) -> LeaseRef {
        LeaseRef { execution: id, epoch: 1, token: LeaseToken([1; 16]) }
    }

    #[tokio::test]
    async fn an_end_wakes_who_registered_before_it() {
        let waiters = Waiters::new();
        let id = ExecutionId::fresh(0, PartitionId(3), 7);
        {
            let wait = waiters.wait_for_end(id);
            let ended = wait.ended();
            let events = [event(id, EventKind::Leased, 1), event(id, EventKind::Completed, 1)];
            waiters.publish(PartitionId(3), &events);
            ended.await;
        }
        assert!(waiters.shard(id).unwrap().ends.is_empty());
    }

    #[tokio::test]
    async fn whoever_watches_is_woken_by_anything_and_forgotten_when_gone() {
        let waiters = Waiters::new();
        let (id, other) =
            (ExecutionId::fresh(0, PartitionId(3), 7), ExecutionId::fresh(0, PartitionId(3), 8));
        let (mut first, mut second) = (waiters.watch(id), waiters.watch(id));
        first.seen();
        waiters
            .publish(PartitionId(3), &[event(other, EventKind::Leased, 1), event(id, EventKind::Leased, 1)]);
        first.happened().await;
        first.seen();
        assert!(first.happened().now_or_never().is_none());
        second.happened().await;
        assert_eq!(waiters.watched(), 1);
        drop(first);
        assert_eq!(waiters.watched(), 1);
        drop(second);
        assert_eq!(waiters.watched(), 0);
    }

    #[test]
    fn a_stop_reaches_its_holder_whichever_comes_first() {
        let waiters = Waiters::new();
        let (early, late) =
            (ExecutionId::fresh(0, PartitionId(1), 1), ExecutionId::fresh(0, PartitionId(1), 2));
        let mail = Arc::new(Mail::default());
        waiters.hold(lease(early), 1, &mail);
        waiters.publish(PartitionId(1), &[event(early, EventKind::CancelRequested, 1)]);
        waiters.publish(PartitionId(1), &[event(late, EventKind::Crashed, 2)]);
        waiters.hold(lease(late), 2, &mail);
        let kinds: Vec<_> =
            mail.take().into_iter().map(|(lease, taken)| (lease.execution, taken.kind)).collect();
        assert_eq!(kinds, [(early, EventKind::CancelRequested), (late, EventKind::Crashed)]);
        waiters.let_go(lease(early));
        waiters.publish(PartitionId(1), &[event(early, EventKind::Revoked, 1)]);
        assert!(mail.take().is_empty());
    }

    #[test]
    fn parked_work_that_goes_on_is_not_taken_away_by_its_own_park() {
        let waiters = Waiters::new();
        let id = ExecutionId::fresh(0, PartitionId(1), 1);
        let mail = Arc::new(Mail::default());
        // Nobody held it any more when it was parked; now it runs on, as the same attempt.
        waiters.publish(PartitionId(1), &[event(id, EventKind::Suspended, 1)]);
        waiters.hold(lease(id), 1, &mail);
        assert!(mail.take().is_empty());
        // Parked under this lease, it says which one that was.
        waiters.publish(PartitionId(1), &[event(id, EventKind::Suspended, 1)]);
        assert_eq!(mail.take().iter().map(|(held, _)| *held).collect::<Vec<_>>(), [lease(id)]);
    }

    #[test]
    fn a_stop_of_an_earlier_attempt_does_not_reach_a_later_one() {
        let waiters = Waiters::new();
        let id = ExecutionId::fresh(0, PartitionId(1), 1);
        let mail = Arc::new(Mail::default());
        waiters.publish(PartitionId(1), &[event(id, EventKind::Crashed, 1)]);
        waiters.hold(lease(id), 2, &mail);
        assert!(mail.take().is_empty());
    }
}
