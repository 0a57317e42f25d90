//! A partition's actor: one task that owns the projection and does everything for it in turn.
//!
//! Commands that arrive while a commit is under way join the open batch; when the commit is done the open batch
//! is closed and sent. So a batch is as large as the store is slow, and nothing ever waits for a clock to batch.
//!
//! | file | what |
//! |---|---|
//! | `inbox.rs` | what waits for room in a batch |
//! | `run.rs` | a command runs, or waits for cold records |
//! | `commit.rs` | a batch is closed, sent, and what leaves when it is committed |
//! | `conflict.rs` | a batch that can't be: undo, catch up, run again |
//! | `claims.rs` | the hub's reservations, and what a lease carries |
//! | `timers.rs` | what the clock has to do |
//! | `outbox.rs` | messages to other partitions |
//! | `recharge.rs` | what a tree of budgets may have lost is told again |
//! | `patience.rs` | a store that does not answer |
//! | `rest.rs` | a store without room |
//! | `shelves.rs` | what only lists need |
//! | `told.rs` | what happened to budgets is logged |

mod batch;
mod claims;
mod cold;
mod commit;
mod conflict;
mod inbox;
mod job;
pub(crate) mod load;
mod outbox;
mod patience;
mod recharge;
mod rest;
mod run;
mod shelves;
mod timers;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use stint_core::model::{Group, LeaseChargeRecord};
use stint_core::{ExecutionId, Millis, Partition, PartitionId};
use stint_store::Head;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

pub(crate) use batch::table;
use batch::{InFlight, Open, Settled};
use claims::Carried;
use cold::{Fetched, Recent};
use inbox::Inbox;
pub(crate) use job::{Answer, LookWith, Message, weight};
use job::{Job, To};
use outbox::{Delivered, Outbox};
pub(crate) use outbox::{Local, Transport};
use rest::Rest;
use run::Read;
pub(crate) use shelves::Listed;
use timers::Timers;

use crate::CallError;
use crate::backup::tee::{Tee, tee};
use crate::clock::Floor;
use crate::hub::ClaimId;
use crate::node::Shared;

/// Messages taken from the mailbox at once.
const CHUNK: usize = 256;

/// Turns that others get between an answer and the next batch: enough for an answer to reach its caller's caller and for
/// what that says next to come back. Twice as many tasks a sync as without, where syncs are slow.
const TURNS: usize = 8;

/// See the module.
pub(crate) struct Actor {
    id: PartitionId,
    shared: Arc<Shared>,
    mailbox: mpsc::UnboundedReceiver<Message>,
    inbox: Inbox,
    projection: Partition,
    /// Where the partition stands, as far as committed.
    head: Head,
    /// The last head that this process made.
    made: Option<Head>,
    floor: Floor,
    now: Millis,
    sequence: u64,
    /// Random, so that ids which follow from it and the sequence are not those of another process or another history.
    salt: u64,

    open: Open,
    in_flight: Option<InFlight>,
    settling: Option<BoxFuture<'static, Settled>>,
    batches: u64,
    /// Look at the store's head before anything else is answered.
    suspect: bool,
    /// The store found no room lately.
    rest: Option<Rest>,
    /// The commit under way has taken so long that nobody waits for it any more.
    hung: bool,

    recent: Recent,
    fetched: Fetched,
    /// Jobs that wait for cold records, and how many of each execution.
    waiting: VecDeque<Job>,
    waiting_about: BTreeMap<ExecutionId, usize>,
    reading: Option<Read>,

    /// Groups that the hub wants to hear of after a claim, and slots that claim did not fill.
    asked_groups: Vec<Arc<Group>>,
    /// What the newest work of a group prefers, until the hub has heard of it.
    preferred: Vec<(Arc<Group>, Vec<String>)>,
    unfilled: Vec<(ClaimId, usize)>,
    /// Executions whose permits were asked for, each with the claim whose slot waits for them.
    asking: Vec<(ExecutionId, ClaimId)>,
    /// Claims of such slots that are free again, one for each.
    answered: Vec<ClaimId>,
    /// Committed batches whose leases are still being read for.
    awaiting: BTreeSet<u64>,

    timers: Timers,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,

    outbox: Outbox,
    /// Partitions that may have lost what they were told of charges.
    recharged: BTreeSet<PartitionId>,
    /// Backups under way.
    tees: Vec<Tee>,
    errands: FuturesUnordered<BoxFuture<'static, Errand>>,
    /// Whether the projection may have shelves, and an errand to forget them is under way.
    shelved: bool,
    draining: Option<oneshot::Sender<()>>,
    ended: bool,
    /// Why the partition can't be served any more, though the node goes on.
    unusable: Option<String>,
}

/// What was done beside the batches.
enum Errand {
    Carried(Carried),
    Delivered(Delivered),
    /// What executions were charged lately, for trees that may have lost it.
    Charged(Vec<(ExecutionId, Vec<LeaseChargeRecord>)>),
    /// Time to look for what other nodes did.
    Follow,
    /// Time to look whether anybody still lists.
    Unshelve,
    /// Time to drop messages that were taken.
    DropTaken,
    /// A claim's slots have waited long enough for permits.
    Unasked(ClaimId, Vec<ExecutionId>),
}

impl Actor {
    /// Loads the partition, serves it until it is drained or stopped, and refuses everything if it can't be opened.
    pub(crate) async fn serve(
        id: PartitionId,
        shared: Arc<Shared>,
        mailbox: mpsc::UnboundedReceiver<Message>,
    ) {
        match load::open(id, &shared).await {
            Ok(loaded) => {
                shared.opened(id, loaded.projection.len());
                let mut actor = Self::new(id, shared.clone(), mailbox, loaded);
                actor.run().await;
                let Some(reason) = actor.unusable.take() else { return };
                shared.closed();
                let (mailbox, messages) = actor.close_up(&reason).await;
                refuse_all(id, &shared, mailbox, messages, reason).await;
            }
            Err(load::Trouble::Ended) => {}
            Err(load::Trouble::Unusable(reason)) => {
                refuse_all(id, &shared, mailbox, VecDeque::new(), reason).await;
            }
        }
    }

    fn new(
        id: PartitionId,
        shared: Arc<Shared>,
        mailbox: mpsc::UnboundedReceiver<Message>,
        loaded: load::Loaded,
    ) -> Self {
        let floor = Floor::new(loaded.head.now_ms);
        let now = floor.now(&shared.clock);
        let mut actor = Self {
            id,
            mailbox,
            inbox: Inbox::default(),
            projection: loaded.projection,
            head: loaded.head,
            made: None,
            floor,
            now,
            sequence: 0,
            salt: shared.random.number(),
            open: Open { new_timeline: loaded.new_timeline, ..Open::default() },
            in_flight: None,
            settling: None,
            batches: 0,
            suspect: false,
            rest: None,
            hung: false,
            recent: Recent::new(shared.random.number()),
            fetched: Fetched::default(),
            waiting: VecDeque::new(),
            waiting_about: BTreeMap::new(),
            reading: None,
            asked_groups: Vec::new(),
            preferred: Vec::new(),
            unfilled: Vec::new(),
            asking: Vec::new(),
            answered: Vec::new(),
            awaiting: BTreeSet::new(),
            timers: Timers::default(),
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
            armed: None,
            outbox: Outbox::default(),
            recharged: BTreeSet::new(),
            tees: Vec::new(),
            errands: FuturesUnordered::new(),
            shelved: false,
            draining: None,
            ended: false,
            unusable: None,
            shared,
        };
        actor.projection.set_able_since(now);
        actor.tell_lanes();
        actor.look_around();
        if loaded.new_timeline {
            actor.compare_with_all();
        }
        actor.follow_later();
        actor
    }

    async fn run(&mut self) {
        let mut messages = Vec::with_capacity(CHUNK);
        while !self.ended {
            self.now = self.floor.now(&self.shared.clock);
            self.look_at_the_timer();
            self.end_rest();
            self.work_off_again();
            self.fire_due();
            self.work_off();
            self.serve_ready();
            self.read_cold();
            self.drop_beside();
            self.close();
            self.send_out();
            if self.drained() {
                break;
            }
            if self.has_more() {
                continue;
            }
            self.arm_timer();
            tokio::select! {
                biased;
                settled = settle(&mut self.settling), if self.settling.is_some() => {
                    self.settling = None;
                    self.settled(settled).await;
                    self.let_others_speak().await;
                }
                read = run::done(&mut self.reading), if self.reading.is_some() => self.read_done(read),
                Some(errand) = self.errands.next(), if !self.errands.is_empty() => self.errand_done(errand),
                count = self.mailbox.recv_many(&mut messages, CHUNK), if self.takes_messages() => {
                    if count == 0 {
                        break;
                    }
                    self.now = self.floor.now(&self.shared.clock);
                    self.shared.note_work();
                    self.take_in(&mut messages);
                }
                // What is due is looked up above.
                () = &mut self.timer, if self.armed.is_some() => {}
            }
        }
        if let Some(drained) = self.draining.take() {
            // Whoever waits may have gone.
            _ = drained.send(());
        }
    }

    /// Callers that were just answered often have more to say: what they say at once joins the batch that is closed next,
    /// instead of waiting for it.
    async fn let_others_speak(&mut self) {
        if self.ended {
            return;
        }
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        self.now = self.floor.now(&self.shared.clock);
        self.take_waiting();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Call(command, reply) => self.accept(Job::run(command, To::Caller(reply))),
            Message::Post(command) => self.accept(Job::run(command, To::Nobody)),
            Message::Look(look) => self.accept(Job::Look(look)),
            Message::Serve(reservation) => self.fill(reservation),
            Message::Forget(keys) => self.open.forget.extend(keys),
            Message::Compare(peer) => self.outbox.compare(peer),
            Message::Audit => self.audit(),
            Message::Shelve(reply) => self.shelve(reply),
            Message::Tee(reply) => {
                let (ours, theirs) = tee(self.head);
                // Whoever asked may have gone.
                if reply.send(theirs).is_ok() {
                    self.tees.push(ours);
                }
            }
            Message::Drain(reply) => self.draining = Some(reply),
            Message::Stop => self.ended = true,
        }
    }

    fn errand_done(&mut self, errand: Errand) {
        match errand {
            Errand::Carried(carried) => self.carried(carried),
            Errand::Delivered(delivered) => self.delivered(delivered),
            Errand::Charged(charged) => self.tell_charges(charged),
            Errand::Follow => {
                self.suspect |= self.in_flight.is_none();
                self.follow_later();
            }
            Errand::Unshelve => self.unshelve(),
            Errand::DropTaken => self.drop_taken(),
            Errand::Unasked(claim, asked) => self.unasked(claim, &asked),
        }
    }

    fn follow_later(&mut self) {
        if let Some(every) = self.shared.config.follow_every {
            self.errands.push(Box::pin(async move {
                tokio::time::sleep(every).await;
                Errand::Follow
            }));
        }
    }

    /// Derives what is derived from the projection, when nothing is open and nothing in flight.
    fn look_around(&mut self) {
        self.outbox.restate(self.projection.outgoing());
        self.restate();
    }

    fn drained(&self) -> bool {
        self.draining.is_some()
            && self.settling.is_none()
            && (self.open.is_empty() || self.rest.is_some() && self.open.ran.is_empty())
            && self.waiting.is_empty()
            && self.inbox.is_empty()
            && self.mailbox.is_empty()
    }

    /// The partition can't be served any more: whoever waits is told, claims look elsewhere, and what has not been looked
    /// at is handed on.
    async fn close_up(mut self, reason: &str) -> (mpsc::UnboundedReceiver<Message>, VecDeque<Message>) {
        // Nothing can be ready that nobody knows of.
        _ = self.shared.hub.restate(self.id, Vec::new());
        // Committed leases are their workers' all the same.
        while !self.awaiting.is_empty()
            && let Some(errand) = self.errands.next().await
        {
            if let Errand::Carried(carried) = errand {
                self.carried(carried);
            }
        }
        let jobs = self.undo();
        let (again, messages) = std::mem::take(&mut self.inbox).into_parts();
        let waiting = std::mem::take(&mut self.waiting);
        for job in jobs.into_iter().chain(again).chain(waiting) {
            self.refuse(job, CallError::Store(reason.to_owned()));
        }
        for claim in self.answered.drain(..).chain(self.asking.drain(..).map(|(_, claim)| claim)) {
            self.shared.hub.answered(claim, 1);
        }
        for (claim, slots) in self.unfilled.drain(..) {
            self.shared.hub.unused(claim, slots);
        }
        (self.mailbox, messages)
    }

    /// The store failed for good: nothing that is here will ever be answered otherwise.
    fn fail(&mut self, reason: &str) {
        self.shared.fail(reason);
        self.ended = true;
    }
}

async fn settle(settling: &mut Option<BoxFuture<'static, Settled>>) -> Settled {
    match settling {
        Some(settling) => settling.await,
        None => std::future::pending().await,
    }
}

async fn refuse_all(
    id: PartitionId,
    shared: &Shared,
    mut mailbox: mpsc::UnboundedReceiver<Message>,
    mut messages: VecDeque<Message>,
    reason: String,
) {
    tracing::error!(partition = id.0, reason, "this partition is not served");
    // Its work is not this node's any more; nothing comes back for an empty statement.
    _ = shared.hub.restate(id, Vec::new());
    loop {
        let message = match messages.pop_front() {
            Some(message) => message,
            None => match mailbox.recv().await {
                Some(message) => message,
                None => return,
            },
        };
        let trouble = || CallError::Store(reason.clone());
        match message {
            Message::Call(command, reply) => {
                shared.answered(id, weight(&command));
                _ = reply.send(Err(trouble()));
            }
            Message::Look(look) => {
                shared.answered(id, 1);
                look.answer(Some(trouble()));
            }
            Message::Serve(reservation) => shared.hub.unused(reservation.claim, reservation.max),
            Message::Post(_)
            | Message::Forget(_)
            | Message::Compare(_)
            | Message::Audit
            | Message::Shelve(_)
            | Message::Tee(_) => {}
            Message::Drain(reply) => {
                _ = reply.send(());
                return;
            }
            Message::Stop => return,
        }
    }
}
