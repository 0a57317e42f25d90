//! A node: 64 partition actors over one store, and the handle through which the rest of the engine reaches them.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use stint_core::{Command, Key, Millis, PARTITIONS, Partition, PartitionId, RequestId};
use stint_store as store;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::backup::tee::Teeing;
use crate::clock::Clock;
use crate::forward::{self, Elsewhere};
use crate::hub::{Hub, Reservation};
use crate::lanes::LaneLengths;
use crate::meta::{self, CommonLevel, Myself, Renewed};
use crate::partition::{Actor, Answer, Listed, LookWith, Message, Transport, weight};
use crate::random::Randomness;
use crate::scanner::Trims;
use crate::stats::{NodeStats, Tally};
use crate::{CallError, EngineConfig, Waiters};

/// Partitions loaded at once: enough to keep the cores and the disk busy.
const LOADS: usize = 8;

/// A handle to a node. The node ends when it is drained, or when its last handle is dropped.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    _last: Arc<StopOnDrop>,
}

/// A handle that does not keep the node alive.
#[derive(Clone)]
pub struct WeakNode(Weak<Shared>);

struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What the actors of a node share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn store::Store>,
    pub(crate) config: EngineConfig,
    pub(crate) clock: Clock,
    pub(crate) random: Randomness,
    pub(crate) hub: Arc<Hub>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) myself: Myself,
    /// The store may have been replaced since it was last served: every partition begins a new timeline.
    pub(crate) replaced: bool,
    /// Partitions that have begun a new timeline.
    pub(crate) renewed: Renewed,
    /// What partitions are raised to as they are written.
    pub(crate) level: CommonLevel,
    pub(crate) trims: Trims,
    pub(crate) lanes: LaneLengths,
    pub(crate) listed: Listed,
    pub(crate) loads: Semaphore,
    pub(crate) tally: Tally,
    pub(crate) elsewhere: Elsewhere,
    mailboxes: Vec<Mailbox>,
    draining: AtomicBool,
    failure: watch::Sender<Option<String>>,
    open: watch::Sender<u32>,
    begun: Instant,
    /// When a heartbeat was last answered, in ms of [`Shared::age`].
    beaten: AtomicU64,
    /// Work since the store's clock was last read.
    worked: AtomicBool,
    work: Notify,
    /// Ends the tasks beside the actors.
    ended: watch::Sender<bool>,
}

struct Mailbox {
    sender: mpsc::UnboundedSender<Message>,
    /// What is not answered yet, by weight.
    queued: AtomicUsize,
    live: AtomicU64,
    /// Since when the store is asked something, in ms of [`Shared::age`], and 1 added; 0 if it is not.
    asks: AtomicU64,
}

/// What a node is made of, before its actors run.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn store::Store>,
    pub(crate) config: EngineConfig,
    pub(crate) clock: Clock,
    pub(crate) random: Randomness,
    pub(crate) hub: Arc<Hub>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) myself: Myself,
    pub(crate) replaced: bool,
    pub(crate) level: u32,
}

impl Node {
    /// Starts the actors; each serves as soon as it has loaded its partition.
    pub(crate) fn start(parts: Parts) -> Self {
        let mut receivers = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..PARTITIONS {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (queued, live, asks) = Default::default();
            mailboxes.push(Mailbox { sender, queued, live, asks });
            receivers.push(receiver);
        }
        let shared = Arc::new(Shared {
            store: parts.store,
            config: parts.config,
            clock: parts.clock,
            random: parts.random,
            hub: parts.hub,
            waiters: parts.waiters,
            transport: parts.transport,
            myself: parts.myself,
            replaced: parts.replaced,
            renewed: Renewed::default(),
            level: CommonLevel::new(parts.level),
            trims: Trims::default(),
            lanes: LaneLengths::default(),
            listed: Listed::default(),
            loads: Semaphore::new(LOADS),
            tally: Tally::default(),
            elsewhere: Elsewhere::default(),
            mailboxes,
            draining: AtomicBool::new(false),
            failure: watch::Sender::new(None),
            open: watch::Sender::new(0),
            begun: Instant::now(),
            beaten: AtomicU64::new(0),
            worked: AtomicBool::new(false),
            work: Notify::new(),
            ended: watch::Sender::new(false),
        });
        for (id, receiver) in PartitionId::all().zip(receivers) {
            tokio::spawn(supervise(id, shared.clone(), receiver));
        }
        Self { _last: Arc::new(StopOnDrop(shared.clone())), shared }
    }

    /// Runs a command and answers when its outcome is committed; at another node, if that one works on the partition.
    pub async fn call(&self, partition: PartitionId, mut command: Command) -> Answer {
        if let Some(peers) = &self.shared.config.peers
            && let Some(to) = self.shared.elsewhere.of(partition)
        {
            forward::may_come_twice(&mut command, || RequestId(self.random().to_be_bytes()));
            if let Some(answer) = peers.call(to, partition, command.clone()).await {
                return answer;
            }
            self.shared.elsewhere.is_here(partition);
        }
        self.shared.call(partition, command).await
    }

    /// Runs a command that another node forwarded: here, whoever works on the partition.
    pub async fn call_here(&self, partition: PartitionId, command: Command) -> Answer {
        self.shared.call(partition, command).await
    }

    /// Runs a command whose outcome nobody waits for.
    pub fn post(&self, partition: PartitionId, command: Command) {
        self.shared.send(partition, Message::Post(command));
    }

    /// Asks a partition to fill a claim's slots.
    pub fn serve(&self, partition: PartitionId, reservation: Reservation) {
        self.shared.serve(partition, reservation);
    }

    /// A handle for what the node itself holds on to, such as the hub.
    pub fn weak(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.shared))
    }

    /// Looks at a projection; what was seen is committed when the answer comes. It may be called more than once.
    pub async fn look<T: Send + 'static>(
        &self,
        partition: PartitionId,
        look: impl Fn(&Partition) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.shared.look(partition, look).await
    }

    /// Goes on building what lists need of a partition, by a bounded step, and says whether it is complete. It is
    /// forgotten when nobody has listed for a while.
    pub(crate) async fn shelve(&self, partition: PartitionId) -> Result<bool, CallError> {
        self.shared.listed.note();
        let (reply, complete) = oneshot::channel();
        self.shared.send(partition, Message::Shelve(reply));
        complete.await.map_err(|_| self.shared.gone())
    }

    /// What the partition commits from now on, for a backup; `None` if it is not served.
    pub(crate) async fn tee(&self, partition: PartitionId) -> Option<Teeing> {
        let (reply, teeing) = oneshot::channel();
        self.shared.send(partition, Message::Tee(reply));
        teeing.await.ok()
    }

    /// Ordered records `from <= key < to`, all of them.
    pub async fn range(
        &self,
        partition: PartitionId,
        from: Key,
        to: Key,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, CallError> {
        let mut range = store::Range { from: from.bytes, to: to.bytes, reverse: false, limit };
        let mut rows = Vec::new();
        while rows.len() < limit {
            let page = self.shared.store.range(store::PartitionId(partition.0), range.clone()).await;
            let page = page.map_err(|error| CallError::Store(error.to_string()))?;
            rows.extend(page.rows);
            match page.cursor {
                Some(cursor) => range.from = cursor,
                None => break,
            }
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// Ms since 1970 UTC, by the node's clock.
    pub fn now(&self) -> Millis {
        self.shared.clock.now()
    }

    /// 128 random bits, from the engine's one source.
    pub fn random(&self) -> u128 {
        self.shared.random.wide()
    }

    /// Commands that are not answered yet; a batch counts as its items, and large inputs count more.
    pub fn in_flight(&self) -> usize {
        self.shared.mailboxes.iter().map(|mailbox| mailbox.queued.load(Relaxed)).sum()
    }

    /// Partitions that are served.
    pub fn partitions_open(&self) -> u32 {
        *self.shared.open.borrow()
    }

    /// For how long the store has owed an answer: to a commit, or to this node's heartbeats.
    pub fn unanswered(&self) -> Duration {
        let age = self.shared.age(Instant::now());
        let asks =
            self.shared.mailboxes.iter().filter_map(|mailbox| mailbox.asks.load(Relaxed).checked_sub(1));
        // A heartbeat leaves every two seconds.
        let beats = !self.shared.store.exclusive() && !self.shared.has_ended();
        let beaten = beats.then(|| self.shared.beaten.load(Relaxed));
        let since = asks.chain(beaten).min();
        Duration::from_millis(since.map_or(0, |since| age.saturating_sub(since)))
    }

    /// How many partitions are served; closed when the node ends.
    pub(crate) fn opening(&self) -> watch::Receiver<u32> {
        self.shared.open.subscribe()
    }

    /// Resolves when every partition is served.
    pub async fn opened(&self) {
        // The sender lives as long as this handle.
        _ = self.shared.open.subscribe().wait_for(|open| *open == u32::from(PARTITIONS)).await;
    }

    /// Whether it is stopping.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    /// Why the store can't be used any more, if so.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.borrow().clone()
    }

    /// Resolves when the store can't be used any more.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives as long as this handle.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes nothing new, finishes what is here, and closes the store.
    pub async fn drain(&self) {
        self.shared.draining.store(true, Relaxed);
        let mut waits = Vec::new();
        for partition in PartitionId::all() {
            let (reply, drained) = oneshot::channel();
            if self.shared.send(partition, Message::Drain(reply)) {
                waits.push(drained);
            }
        }
        for drained in waits {
            // An actor that has ended is drained.
            _ = drained.await;
        }
        self.shared.ended.send_replace(true);
        if let Err(error) = meta::leave(&self.shared).await {
            tracing::warn!(%error, "this node could not take its heartbeat back");
        }
        if let Err(error) = self.shared.store.close().await {
            tracing::error!(%error, "the store did not close well");
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> NodeStats {
        let live = self.shared.mailboxes.iter().map(|mailbox| mailbox.live.load(Relaxed)).sum();
        self.shared.tally.read(live, self.in_flight(), self.partitions_open(), self.shared.store.counters())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Runs an actor. Rules that panic are undone one by one; a panic of the actor itself leaves nothing to go on from but
/// the store.
async fn supervise(id: PartitionId, shared: Arc<Shared>, mailbox: mpsc::UnboundedReceiver<Message>) {
    let served = AssertUnwindSafe(Actor::serve(id, shared.clone(), mailbox)).catch_unwind().await;
    if served.is_err() {
        shared.fail(&format!("the actor of partition {} panicked", id.0));
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.shared.config.node).finish_non_exhaustive()
    }
}

impl WeakNode {
    /// See [`Node::post`].
    pub fn post(&self, partition: PartitionId, command: Command) {
        if let Some(shared) = self.0.upgrade() {
            shared.send(partition, Message::Post(command));
        }
    }

    /// See [`Node::serve`].
    pub fn serve(&self, partition: PartitionId, reservation: Reservation) {
        if let Some(shared) = self.0.upgrade() {
            shared.serve(partition, reservation);
        }
    }
}

impl fmt::Debug for WeakNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakNode").finish_non_exhaustive()
    }
}

impl Shared {
    /// See [`Node::call`].
    pub(crate) async fn call(&self, partition: PartitionId, command: Command) -> Answer {
        if self.draining.load(Relaxed) {
            return Err(CallError::Draining);
        }
        if command.adds_work() && self.queued(partition) >= self.config.queue_max {
            return Err(CallError::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        let weight = weight(&command);
        self.ask(partition, Message::Call(command, reply), weight);
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// See [`Node::serve`].
    fn serve(&self, partition: PartitionId, reservation: Reservation) {
        let (claim, slots) = (reservation.claim, reservation.max);
        if !self.send(partition, Message::Serve(reservation)) {
            self.hub.unused(claim, slots);
        }
    }

    /// Puts a message into a mailbox; whether anybody will take it.
    /// See [`Node::look`].
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        partition: PartitionId,
        look: impl Fn(&Partition) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        let look = LookWith { look, seen: None, reply };
        self.ask(partition, Message::Look(Box::new(look)), 1);
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Puts a message into a partition's mailbox; whether there is one.
    pub(crate) fn send(&self, partition: PartitionId, message: Message) -> bool {
        self.mailbox(partition).is_some_and(|mailbox| mailbox.sender.send(message).is_ok())
    }

    /// Lets a partition's peer compare its chain to that partition.
    pub(crate) fn compare(&self, peer: PartitionId, with: PartitionId) {
        self.send(peer, Message::Compare(with));
    }

    /// Sends a message that will be answered, or dropped at once if nobody is there.
    fn ask(&self, partition: PartitionId, message: Message, weight: usize) {
        let Some(mailbox) = self.mailbox(partition) else { return };
        mailbox.queued.fetch_add(weight, Relaxed);
        if mailbox.sender.send(message).is_err() {
            mailbox.queued.fetch_sub(weight, Relaxed);
        }
    }

    /// Counted messages of this weight are answered.
    pub(crate) fn answered(&self, partition: PartitionId, weight: usize) {
        if weight > 0
            && let Some(mailbox) = self.mailbox(partition)
        {
            mailbox.queued.fetch_sub(weight, Relaxed);
        }
    }

    /// A partition asks the store since then, or has its answer.
    pub(crate) fn asks(&self, partition: PartitionId, since: Option<Instant>) {
        if let Some(mailbox) = self.mailbox(partition) {
            mailbox.asks.store(since.map_or(0, |since| self.age(since) + 1), Relaxed);
        }
    }

    /// The store has answered a heartbeat.
    pub(crate) fn beaten(&self) {
        self.beaten.store(self.age(Instant::now()), Relaxed);
    }

    /// Ms since the node began.
    fn age(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }

    /// A batch was committed.
    pub(crate) fn committed(&self, partition: PartitionId, commands: usize, writes: usize, live: usize) {
        self.tally.committed(commands, writes);
        if let Some(mailbox) = self.mailbox(partition) {
            mailbox.live.store(live as u64, Relaxed);
        }
    }

    /// A partition is served from now on.
    pub(crate) fn opened(&self, partition: PartitionId, live: usize) {
        if let Some(mailbox) = self.mailbox(partition) {
            mailbox.live.store(live as u64, Relaxed);
        }
        self.open.send_modify(|open| *open += 1);
    }

    /// A partition that was served is not any more.
    pub(crate) fn closed(&self) {
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }

    /// The store can't be used any more: everything ends.
    pub(crate) fn fail(&self, reason: &str) {
        let first = self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(reason.to_owned());
            }
            first
        });
        if first {
            tracing::error!(reason, "the store failed; the engine stops");
            self.stop();
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Notes that there is work, so that the store's clock is followed.
    pub(crate) fn note_work(&self) {
        if !self.worked.load(Relaxed) && !self.worked.swap(true, Relaxed) {
            self.work.notify_one();
        }
    }

    /// Waits for work since the last call.
    pub(crate) async fn next_work(&self) {
        while !self.worked.swap(false, Relaxed) {
            self.work.notified().await;
        }
    }

    /// Resolves when the node ends.
    pub(crate) async fn end(&self) {
        // The sender lives as long as this.
        _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether the node ends or has ended.
    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    fn stop(&self) {
        self.ended.send_replace(true);
        for partition in PartitionId::all() {
            self.send(partition, Message::Stop);
        }
    }

    fn queued(&self, partition: PartitionId) -> usize {
        self.mailbox(partition).map_or(0, |mailbox| mailbox.queued.load(Relaxed))
    }

    fn mailbox(&self, partition: PartitionId) -> Option<&Mailbox> {
        self.mailboxes.get(usize::from(partition.0))
    }

    /// Why an actor dropped what it was asked.
    fn gone(&self) -> CallError {
        match &*self.failure.borrow() {
            Some(reason) => CallError::Store(reason.clone()),
            None if self.draining.load(Relaxed) || self.has_ended() => CallError::Draining,
            None => CallError::Store("this partition is not served".to_owned()),
        }
    }
}
