//! One exchange, from its arrival to its reply.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use stint_api::{
    Answer, DEFAULT_NAMESPACE, ExchangeAnswer, ExchangeReply, ExchangeRequest, ExchangeStop, Problem,
    StopAction,
};
use stint_core::command::UnlistedLeases;
use stint_core::model::Worker;
use stint_core::{Command, EventKind, LeaseRef, Millis, PartitionId};
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::repeat::{UNREAD_BYTES, repeat};
use super::said::{Ask, Heard, Order, Parsed, Renewed, What, about, heard};
use super::session::{Begun, New, Said};
use super::sessions::Live;
use crate::edge::{lease, problem};
use crate::engine::Inner;
use crate::hub::{GrantedLease, Wanted, Watch};
use crate::waiters::Taken;
use crate::workers;

/// A worker whose session is new here is answered after this time at the latest: what it says next brings back leases that it never
/// heard of, well before they expire.
const STRANGE_WAIT: Duration = Duration::from_secs(10);

/// What there is to tell the worker besides leases.
#[derive(Default, Debug)]
struct Words {
    answers: Vec<ExchangeAnswer>,
    stops: Vec<ExchangeStop>,
}

impl Words {
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.stops.is_empty()
    }

    fn append(&mut self, mut other: Self) {
        self.answers.append(&mut other.answers);
        self.stops.append(&mut other.stops);
    }
}

/// How an exchange begins.
enum Start {
    New(New),
    Late,
    Again(Arc<ExchangeReply>),
    UnderWay(OwnedNotified),
}

/// An exchange under way. If nobody waits for it any more it is as if it had not come, but for what it said.
struct Turn<'a> {
    engine: &'a Inner,
    live: &'a Live,
    n: u64,
    /// What it has taken out of the mail, to be told in its reply.
    taken: Mutex<Vec<(LeaseRef, Taken)>>,
    ended: bool,
}

/// Takes an exchange and answers it.
pub(crate) async fn exchange(engine: &Inner, mut request: ExchangeRequest) -> Result<ExchangeReply, Problem> {
    request.validate(&engine.limits)?;
    let namespace = request.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let live = engine.sessions.of(&namespace, &request.worker.session, &engine.waiters);
    let mut parsed = Parsed::of(&mut request);
    loop {
        match start(engine, &live, &request, &parsed) {
            Start::Again(reply) => return Ok(ExchangeReply::clone(&reply)),
            Start::UnderWay(made) => made.await,
            Start::New(new) => {
                let (n, taken) = (request.n, Mutex::default());
                let turn = Turn { engine, live: &live, n, taken, ended: false };
                return turn.take(&request, &namespace, parsed, new).await;
            }
            Start::Late => {
                let (n, taken) = (request.n, Mutex::default());
                let turn = Turn { engine, live: &live, n, taken, ended: true };
                let all = parsed.all_listed();
                let asks = parsed.commands(&all);
                let mut words = Words { answers: parsed.refused, stops: Vec::new() };
                words.append(turn.say(asks).await?);
                let Words { answers, stops } = words;
                let drain = live.is_draining();
                return Ok(ExchangeReply { n: request.n, leases: Vec::new(), answers, stops, drain });
            }
        }
    }
}

/// Decides under the session's lock what the exchange is.
fn start(engine: &Inner, live: &Live, request: &ExchangeRequest, parsed: &Parsed) -> Start {
    let said = Said {
        n: request.n,
        seen: request.seen,
        listed: &parsed.listed,
        ended: &parsed.ended,
        stepped: &parsed.stepped,
    };
    let mut talk = live.talk();
    let begun = match talk.session.begin(&said, Instant::now()) {
        Begun::Again(reply) => return Start::Again(reply),
        Begun::UnderWay(made) => return Start::UnderWay(made.notified_owned()),
        Begun::Late => Start::Late,
        Begun::New(new) => {
            let before = talk.meet(request.n, request.seen, engine.node.now());
            before.into_iter().for_each(|before| give_back_unheard(engine, live, parsed, before));
            Start::New(new)
        }
    };
    drop(talk);
    live.newest.send_if_modified(|newest| std::mem::replace(newest, (*newest).max(request.n)) < request.n);
    begun
}

/// A session that this node did not know may have been another node's, or this one's before a restart: replies of that time
/// may be lost, and with them leases that its worker never heard of. What a worker names in the first exchange that comes
/// here proves nothing: it may have been written before it read another node's last reply, and is sent again.
fn give_back_unheard(engine: &Inner, live: &Live, parsed: &Parsed, before: Millis) {
    let named = parsed.listed.iter().map(|(lease, _)| lease).chain(&parsed.ended).chain(&parsed.stepped);
    let listed: Vec<_> = named.copied().collect();
    for partition in PartitionId::all() {
        let command = UnlistedLeases { session: live.id, listed: listed.clone(), before };
        engine.node.post(partition, Command::UnlistedLeases(command));
    }
}

impl<'a> Turn<'a> {
    async fn take(
        mut self,
        request: &ExchangeRequest,
        namespace: &str,
        mut parsed: Parsed,
        new: New,
    ) -> Result<ExchangeReply, Problem> {
        self.note_leases(&parsed, &new);
        // A worker that reads nothing is given nothing more.
        let (wanted, _call) = self.wanted(request, namespace);
        let wanted = wanted.filter(|_| new.unread_bytes < UNREAD_BYTES);
        let mut until = Instant::now() + Duration::from_millis(request.wait_ms);
        if self.live.talk().strange.is_some() {
            until = until.min(Instant::now() + STRANGE_WAIT);
        }
        let asks = parsed.commands(&new.renew);
        let said = Words { answers: parsed.refused, stops: Vec::new() };
        let must_hear = self.live.is_draining() && self.live.talk().session.must_hear_of_drain(request.seen);
        let has_news = must_hear || !new.unread.is_empty();
        let mut words = self.listen(said, asks, wanted, until, has_news).await?;
        let leases = self.settle(&words).await;
        words.stops.extend(self.stops().await);
        if leases.is_empty() && words.is_empty() && self.engine.is_draining() {
            return Err(problem::draining());
        }
        let reply = self.reply(leases, words, &new.unread);
        self.ended = true;
        Ok(reply)
    }

    /// Says what there is to say, with the claim beside it; waits for leases or stops only if nothing comes of it.
    async fn listen(
        &self,
        mut words: Words,
        asks: Vec<Ask>,
        wanted: Option<Wanted>,
        until: Instant,
        has_news: bool,
    ) -> Result<Words, Problem> {
        let mut saying = pin!(self.say(asks));
        let drains = self.live.is_draining();
        let mut watch = None;
        let mut has_mail = {
            // Where there is an answer this is dropped: it must take nothing.
            let mut parked = pin!(async {
                watch = self.park(wanted);
                self.wait(watch.as_ref(), until, drains).await
            });
            // What is said reaches the partitions before the claim does.
            tokio::select! {
                biased;
                said = &mut saying => {
                    words.append(said?);
                    if has_news || !words.is_empty() {
                        return Ok(words);
                    }
                    parked.await
                }
                has_mail = &mut parked => {
                    words.append(saying.await?);
                    has_mail
                }
            }
        };
        // What has arrived may be no news.
        while has_mail {
            words.stops.extend(self.stops().await);
            has_mail = words.is_empty() && self.wait(watch.as_ref(), until, drains).await;
        }
        Ok(words)
    }

    /// Gives back leases that are not listed.
    fn note_leases(&self, parsed: &Parsed, new: &New) {
        for lease in parsed.ended.iter().chain(&new.unlisted) {
            self.engine.waiters.let_go(*lease);
        }
        self.engine.give_back_dropped(new.unlisted.iter().copied());
    }

    /// What the worker asks for, and that it was heard; its call ends with what this gives.
    fn wanted(&self, request: &ExchangeRequest, namespace: &str) -> (Option<Wanted>, workers::Call<'a>) {
        let worker = &request.worker;
        let filter = lease::filter(namespace, &request.lanes, &request.kinds, &worker.capabilities);
        let filter = self.live.talk().filter(filter);
        let heard = workers::Heard {
            name: &worker.name,
            session: Some(&worker.session),
            version: worker.version.as_deref(),
            capabilities: &worker.capabilities,
            slots: request.max,
            draining: self.live.is_draining(),
        };
        let call = self.engine.workers.heard(&heard, &filter, self.engine.node.now());
        let wanted = (request.max > 0 && !heard.draining).then(|| Wanted {
            token: self.engine.token(),
            worker: Worker { name: worker.name.as_str().into(), session: self.live.id },
            filter,
            max: request.max as usize,
        });
        (wanted, call)
    }

    /// Registers the claim, or goes on with the one of the exchange that this one ends.
    fn park(&self, wanted: Option<Wanted>) -> Option<Watch> {
        let mut talk = self.live.talk();
        if !talk.session.is_newest(self.n) {
            return None;
        }
        let before = talk.parked.take();
        let parked = match (before, wanted) {
            (Some((_, before)), Some(wanted)) => before.hand_over(wanted),
            (None, Some(wanted)) => self.engine.hub.park(wanted),
            (_, None) => return None,
        };
        let watch = parked.watch();
        talk.parked = Some((self.n, parked));
        Some(watch)
    }

    /// Waits for leases, for stops, for a newer exchange, for a drain unless it `drains` already, or for the time to be over.
    /// Whether something is in the mail.
    async fn wait(&self, watch: Option<&Watch>, until: Instant, drains: bool) -> bool {
        let mut newest = self.live.newest.subscribe();
        let answerable = async {
            match watch {
                Some(watch) => watch.answerable().await,
                None => self.engine.drains().await,
            }
        };
        let mut answerable = pin!(answerable);
        loop {
            if !self.live.mail.is_empty() {
                return true;
            }
            if !drains && self.live.is_draining() {
                return false;
            }
            tokio::select! {
                biased;
                // Its sender stands in `live`, so it never fails. The guard it gives must not live to the next wait.
                () = async { drop(newest.wait_for(|newest| *newest > self.n).await) } => return false,
                () = self.live.mail.arrived.notified() => {}
                () = &mut answerable => return false,
                () = tokio::time::sleep_until(until) => return false,
            }
        }
    }

    /// Ends the claim, unless a newer exchange goes on with it. What there is to say besides does not wait for permits.
    async fn settle(&self, words: &Words) -> Vec<GrantedLease> {
        let parked = {
            let mut talk = self.live.talk();
            let own = talk.session.is_newest(self.n);
            talk.parked.take_if(|(n, _)| own && *n == self.n)
        };
        match parked {
            // Dropped it gives back what it was given: a worker that drains gets nothing new.
            Some(_) if self.live.is_draining() => Vec::new(),
            Some((_, parked)) if !words.is_empty() => parked.settle_without_asking().await,
            Some((_, parked)) => parked.settle().await,
            None => Vec::new(),
        }
    }

    /// Brings what is said to its partitions, all at once.
    async fn say(&self, asks: Vec<Ask>) -> Result<Words, Problem> {
        let sent = Instant::now();
        let calls = asks.into_iter().map(|Ask { lease, what, order }| async move {
            let heard = match order {
                Order::Command(command) => {
                    let outcome = self.engine.node.call(lease.execution.partition(), *command).await;
                    heard(lease, &what, outcome, sent)
                }
                Order::Charge(charge) => {
                    let answer = self.engine.charge(charge).await.map(Answer::Charged);
                    Heard::Answer(about(lease.to_string(), &what, answer.unwrap_or_else(Answer::Refused)))
                }
                Order::More(more) => {
                    let answer = self.engine.extend(lease, more).await.map(Answer::Extended);
                    Heard::Answer(about(lease.to_string(), &what, answer.unwrap_or_else(Answer::Refused)))
                }
            };
            (lease, what, heard)
        });
        let mut words = Words::default();
        for (lease, what, heard) in join_all(calls).await {
            match heard {
                Heard::Answer(mut answer) => {
                    if let (What::Ends, Answer::Done(end)) = (what, &mut answer.answer) {
                        self.engine.add_prospect(lease.execution, end).await;
                    }
                    words.answers.push(answer);
                }
                Heard::Lost(answer) => {
                    self.live.talk().session.lost(lease);
                    self.engine.waiters.let_go(lease);
                    words.answers.push(answer);
                }
                Heard::Renewed(Renewed { attempt, left, ttl, sent, stop }) => {
                    let mut talk = self.live.talk();
                    if !talk.session.renewed(lease, left, ttl, sent) {
                        // Another node's, or a plain claim's.
                        self.engine.waiters.hold(lease, attempt, &self.live.mail);
                    }
                    let news = stop.filter(|(_, until)| talk.session.tell_to_stop(self.n, lease, *until));
                    words.stops.extend(news.map(|(stop, _)| stop));
                }
                Heard::Unheard(problem) => return Err(problem),
            }
        }
        Ok(words)
    }

    fn taken(&self) -> MutexGuard<'_, Vec<(LeaseRef, Taken)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops that have arrived. How long a worker has to follow one is asked when it is told.
    async fn stops(&self) -> Vec<ExchangeStop> {
        let (mut stops, mut asks) = (Vec::new(), Vec::new());
        let arrived = self.live.mail.take();
        self.taken().extend(arrived.iter().cloned());
        for (lease, taken) in arrived {
            let mut talk = self.live.talk();
            if talk.session.lease_of(taken.execution) != Some(lease) {
                continue;
            }
            if matches!(taken.kind, EventKind::CancelRequested | EventKind::StopRequested) {
                asks.push(Ask::heartbeat(lease));
                continue;
            }
            talk.session.lost(lease);
            self.engine.waiters.let_go(lease);
            stops.push(ExchangeStop {
                lease: lease.to_string(),
                reason: reason(taken.kind).into(),
                grace_ms: 0,
                action: gone(taken.kind),
            });
        }
        if !asks.is_empty() {
            match self.say(asks).await {
                Ok(told) => stops.extend(told.stops),
                // The lease's next heartbeat says it.
                Err(problem) => tracing::warn!(%problem, "a stop could not be looked up"),
            }
        }
        stops
    }

    /// Makes the reply, with all that unread ones said.
    fn reply(
        &self,
        granted: Vec<GrantedLease>,
        words: Words,
        unread: &[Arc<ExchangeReply>],
    ) -> ExchangeReply {
        let (now, now_ms) = (Instant::now(), self.engine.node.now());
        let (granted, beyond) = lease::fitting(granted);
        self.engine.give_back(beyond.into_iter().map(|granted| granted.grant.lease));
        let mut talk = self.live.talk();
        let drain = self.live.is_draining();
        if drain {
            talk.session.tell_to_drain(self.n);
        }
        let mut reply = ExchangeReply { n: self.n, drain, ..ExchangeReply::default() };
        reply.stops = words.stops;
        for granted in granted {
            let (lease, attempt) = (granted.grant.lease, granted.grant.attempt);
            // It may have waited here for other leases of this reply.
            let age = lease::duration((now_ms - granted.grant.renewed_at).max(0));
            let since = now.checked_sub(age).unwrap_or(now);
            talk.session.gave(self.n, lease, lease::duration(granted.grant.ttl_ms), since);
            self.engine.waiters.hold(lease, attempt, &self.live.mail);
            reply.leases.push(lease::lease(granted));
        }
        repeat(unread, &talk.session, &mut reply);
        reply.answers.extend(words.answers);
        let reply = Arc::new(reply);
        talk.session.made(self.n, &reply);
        drop(talk);
        Arc::unwrap_or_clone(reply)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut talk = self.live.talk();
        let own = talk.session.is_newest(self.n);
        let parked = if own { talk.parked.take() } else { None };
        talk.session.abandoned(self.n);
        drop(talk);
        drop(parked);
        let taken = std::mem::take(&mut *self.taken());
        self.live.mail.put_back(taken);
    }
}

/// What became of an execution whose lease is gone.
fn gone(kind: EventKind) -> StopAction {
    match kind {
        EventKind::Suspended => StopAction::Suspend,
        EventKind::Failed => StopAction::Fail,
        _ => StopAction::Cancel,
    }
}

/// Why a lease is gone, in a word.
fn reason(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Crashed => "lease_expired",
        other => other.name(),
    }
}
