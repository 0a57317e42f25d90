//! The loop that speaks for a worker: one `worker/exchange` after the other.
//!
//! - At most one exchange with content (results, steps) is under way. What comes up meanwhile goes in the next:
//!   batches grow by themselves when the server is slow and vanish when it is fast.
//! - An exchange without content is *parked*: the server answers when it has something to say. A new exchange
//!   ends the parked one, so results never wait for it.
//! - An exchange whose reply was lost is sent again, same number and same body. Numbers and bodies let the
//!   server tell a repetition from news.
//! - A handler is stopped before its lease can have ended for all this worker knows. What it knows is the last
//!   confirmed listing, and outages: while it is certain that no server is there, or that none can reach the store,
//!   nobody could have ended a lease, and a server gives each its whole time to live again when it is back. Mere
//!   silence proves nothing: behind a broken network the server may be giving the work to another.
//! - Nothing here reads a clock but tokio's, draws randomness but from the client's source, or depends on the
//!   order in which `select!` looks at its branches: the simulation runs this very code.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use stint_api::{
    ExchangeLease, ExchangeReply, ExchangeRequest, ExchangeStep, Lease, Outcome, ReleaseRequest,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::event::{ChargeAnswer, Event, Events};
use super::held::Held;
use super::outbox::{Content, LINGER, Outbox};
use super::reply::Verdict;
use super::{Settings, pace::Pace};
use crate::transport::{FromReply, Request, SendError, Transport};
use crate::{Error, far};

/// How long an exchange is parked while no lease is held.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// How long progress waits for an exchange that goes anyway.
const PROGRESS_WAIT: Duration = Duration::from_secs(1);

/// How long a drained worker goes on trying to say what is left to be said.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a drained worker goes on trying to say what was spent.
const CHARGE_FAREWELL: Duration = Duration::from_secs(60);

/// Turns given to other tasks before speaking, so that handlers that end together are reported together.
const SETTLE_TURNS: usize = 4;

/// How much of a session's name tells it from all others that an execution meets.
const PLACE_CHARS: usize = 16;

/// How long an exchange may stay unanswered beyond its own wait, at least: slow answers are not repeated at once.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What became of an exchange, and when it was sent this time.
type Heard = (u64, Instant, Result<Box<ExchangeReply>, SendError>);

/// The state of one worker process.
pub(super) struct Exchanger {
    pub(super) settings: Arc<Settings>,
    transport: Arc<dyn Transport>,
    session: String,
    n: u64,
    seen: u64,
    pub(super) outbox: Outbox,
    pub(super) held: BTreeMap<Arc<str>, Held>,
    /// Who waits for the answer to a charge, by lease and charge id. The lease may be lost.
    pub(super) charging: BTreeMap<(String, String), Vec<ChargeAnswer>>,
    /// Handlers that have not ended, those of lost leases included.
    running: usize,
    events: mpsc::UnboundedReceiver<Event>,
    sender: Events,
    /// Exchanges that were not answered, by number; the last one is the present one.
    sent: BTreeMap<u64, Sent>,
    in_air: FuturesUnordered<BoxFuture<'static, Heard>>,
    pub(super) pace: Pace,
    /// Until when to wait for handlers to end before parking.
    park_at: Instant,
    progress_due: Option<Instant>,
    /// The earliest time at which a handler may have to be stopped.
    stop_check_at: Option<Instant>,
    drain: Option<Drain>,
}

/// An exchange that was sent.
struct Sent {
    request: Arc<Request>,
    /// When it was sent first: a repeated reply may be about that time.
    at: Instant,
    has_content: bool,
    /// False once it was lost and not yet sent again.
    is_in_air: bool,
    max: u32,
}

struct Drain {
    until: Instant,
    /// An exchange that asks for nothing was answered: no lease can be on its way.
    is_heard: bool,
}

impl Exchanger {
    pub(super) fn new(
        settings: Arc<Settings>,
        transport: Arc<dyn Transport>,
        session: String,
        pace: Pace,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            settings,
            transport,
            session,
            n: 0,
            seen: 0,
            outbox: Outbox::default(),
            held: BTreeMap::new(),
            charging: BTreeMap::new(),
            running: 0,
            events,
            sender,
            sent: BTreeMap::new(),
            in_air: FuturesUnordered::new(),
            pace,
            park_at: Instant::now(),
            progress_due: None,
            stop_check_at: None,
            drain: None,
        }
    }

    /// Works until `shutdown` is ready, then takes nothing new, lets handlers finish for a while, and gives
    /// back what did not.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = pin!(shutdown);
        loop {
            let now = Instant::now();
            self.stop_handlers(now);
            if self.is_done(now) {
                return Ok(());
            }
            self.speak(now);
            let wake = self.wakes_at(now);
            tokio::select! {
                biased;
                () = &mut shutdown, if self.drain.is_none() => self.begin_drain(),
                Some((n, at, heard)) = self.in_air.next(), if !self.in_air.is_empty() => self.hear(n, at, heard)?,
                Some(event) = self.events.recv() => self.take_events(event).await,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn begin_drain(&mut self) {
        debug!(running = self.running, "draining");
        self.drain = Some(Drain { until: far::after(self.settings.drain_timeout), is_heard: false });
    }

    fn is_done(&mut self, now: Instant) -> bool {
        let Some(drain) = &self.drain else { return false };
        if drain.until <= now {
            let charges = self.unsaid_charges();
            let farewell = if charges > 0 { CHARGE_FAREWELL } else { FAREWELL };
            if drain.until + farewell <= now {
                if charges > 0 {
                    error!(charges, "the server was not there to hear what was spent");
                }
                warn!(results = self.held.len(), "the server was not there to hear the last results");
                return true;
            }
            for (lease, held) in self.held.iter_mut().filter(|(_, held)| !held.has_ended) {
                held.stop_handler();
                // Its last call may still be spending.
                self.outbox.push_result(lease, Outcome::Release(ReleaseRequest::unfinished()));
            }
        }
        drain.is_heard
            && self.running == 0
            && self.outbox.is_empty()
            && self.held.is_empty()
            && !self.sent.values().any(|sent| sent.has_content)
    }

    /// Charges that are not known to be heard.
    fn unsaid_charges(&self) -> usize {
        let under_way = self.sent.values().map(|sent| match &*sent.request {
            Request::Exchange(request) => request.charges.len(),
            _ => 0,
        });
        self.outbox.charges() + under_way.sum::<usize>()
    }

    /// Stops handlers whose lease may be about to end, or whose grace is over.
    fn stop_handlers(&mut self, now: Instant) {
        if self.stop_check_at.is_none_or(|at| at > now) {
            return;
        }
        let mut gone = Vec::new();
        for (lease, held) in
            self.held.iter_mut().filter(|(_, held)| !held.has_ended && held.stops_at() <= now)
        {
            if held.is_out_of_grace(now) {
                gone.push(Arc::clone(lease));
                continue;
            }
            warn!("a handler is stopped: its lease could not be renewed in time");
            held.stop_handler();
            // Where the lease still lives, giving it back lets the next attempt start at once.
            self.outbox.push_result(lease, Outcome::Release(ReleaseRequest::unfinished()));
        }
        for lease in gone {
            self.drop_lease(&lease);
        }
        self.check_stops();
    }

    /// Notes when a handler has to be stopped next.
    pub(super) fn check_stops(&mut self) {
        self.stop_check_at = self.held.values().filter(|held| !held.has_ended).map(Held::stops_at).min();
    }

    /// Forgets a lease that no longer counts. Its handler is dropped.
    pub(super) fn drop_lease(&mut self, lease: &str) {
        self.held.remove(lease);
        self.outbox.forget(lease);
    }

    fn free_slots(&self) -> u32 {
        if self.drain.is_some() {
            return 0;
        }
        let free = self.settings.slots.saturating_sub(self.running);
        u32::try_from(free).unwrap_or(u32::MAX).min(stint_api::CLAIM_LEASES)
    }

    /// Sends what is due, if anything is.
    fn speak(&mut self, now: Instant) {
        if self.pace.waits_until().is_some_and(|at| at > now) {
            return;
        }
        let is_due = self.has_content_due(now);
        let free = self.free_slots();
        let asks_to_drain = self.drain.as_ref().is_some_and(|drain| !drain.is_heard);
        let present = self.sent.last_key_value().map(|(n, sent)| (*n, sent));
        match present {
            Some((n, sent)) if !sent.is_in_air && (sent.has_content || !is_due) => self.send_again(n),
            Some((_, sent)) if sent.has_content => {}
            Some((_, sent)) if is_due || free > sent.max || (asks_to_drain && sent.max > 0) => {
                self.send_next(now);
            }
            Some(_) => {}
            None if is_due || self.running == 0 || self.park_at <= now || asks_to_drain => {
                self.send_next(now)
            }
            None => {}
        }
    }

    fn has_content_due(&self, now: Instant) -> bool {
        self.outbox.is_due(now) || self.progress_due.is_some_and(|at| at <= now)
    }

    fn send_next(&mut self, now: Instant) {
        let content = self.outbox.take();
        let has_content = !content.is_empty();
        let Content { results, steps, logs, charges, holds } = content;
        self.n += 1;
        let n = self.n;
        let max = self.free_slots();
        let request = ExchangeRequest {
            worker: self.settings.worker(&self.session),
            n,
            seen: self.seen,
            lanes: self.settings.lanes.clone(),
            kinds: self.settings.kinds.clone(),
            max,
            wait_ms: crate::client::ms(self.wait()),
            leases: self.listed(&results),
            results,
            steps,
            logs,
            charges,
            holds,
            namespace: self.settings.namespace.clone(),
        };
        self.progress_due = None;
        let request = Arc::new(Request::Exchange(Box::new(request)));
        self.launch(n, &request);
        self.sent.insert(n, Sent { request, at: now, has_content, is_in_air: true, max });
    }

    /// Leases held and not ended by this very exchange.
    fn listed(&mut self, results: &[stint_api::ExchangeResult]) -> Vec<ExchangeLease> {
        let ended: std::collections::BTreeSet<&str> = results.iter().map(|r| r.lease.as_str()).collect();
        self.held
            .iter_mut()
            .filter(|(lease, _)| !ended.contains(&***lease))
            .map(|(lease, held)| ExchangeLease { lease: lease.to_string(), progress: held.progress.take() })
            .collect()
    }

    fn wait(&self) -> Duration {
        let idle = if self.drain.is_some() { Duration::ZERO } else { IDLE_WAIT };
        self.held.values().map(Held::patience).min().map_or(idle, |patience| patience.min(IDLE_WAIT))
    }

    fn send_again(&mut self, n: u64) {
        let Some(sent) = self.sent.get_mut(&n) else { return };
        sent.is_in_air = true;
        let request = Arc::clone(&sent.request);
        self.launch(n, &request);
    }

    fn launch(&mut self, n: u64, request: &Arc<Request>) {
        let transport = Arc::clone(&self.transport);
        let request = Arc::clone(request);
        let at = Instant::now();
        // A connection may be dead without anybody saying so; leases don't live long enough to wait for that.
        let patience = self.held.values().map(Held::patience).min().map(|patience| patience.max(ANSWER_WAIT));
        self.in_air.push(Box::pin(async move {
            let sending = transport.send(&request, None);
            let reply = match patience {
                Some(patience) => {
                    let until = at + Duration::from_millis(request.wait_ms()) + patience;
                    let silence = |_| Err(SendError::Lost("no answer in time".to_owned()));
                    tokio::time::timeout_at(until, sending).await.unwrap_or_else(silence)
                }
                None => sending.await,
            };
            (n, at, reply.and_then(<Box<ExchangeReply>>::from_reply))
        }));
    }

    fn hear(
        &mut self,
        n: u64,
        at: Instant,
        heard: Result<Box<ExchangeReply>, SendError>,
    ) -> Result<(), Error> {
        match heard {
            Ok(reply) => {
                self.read(n, *reply);
                Ok(())
            }
            Err(error) => self.miss(n, at, error),
        }
    }

    fn read(&mut self, n: u64, reply: ExchangeReply) {
        // A later reply was read: whatever this one gave was in that one too, or is given back by the server.
        let Some(sent) = self.sent.remove(&n).filter(|_| n > self.seen) else { return };
        self.sent.retain(|other, _| *other > n);
        self.seen = n;
        let now = Instant::now();
        self.pace.reset();
        if reply.drain && self.drain.is_none() {
            self.begin_drain();
        }
        if let Some(drain) = &mut self.drain {
            drain.is_heard |= sent.max == 0;
        }
        if let Request::Exchange(request) = &*sent.request {
            self.judge(request, reply.answers, sent.at);
        }
        for stop in &reply.stops {
            self.stop(stop, now);
        }
        for lease in reply.leases {
            self.start(lease, sent.at);
        }
        self.check_stops();
        self.park_at = now + LINGER;
    }

    fn stop(&mut self, stop: &stint_api::ExchangeStop, now: Instant) {
        let Some(held) = self.held.get_mut(stop.lease.as_str()) else { return };
        if held.has_ended {
            return;
        }
        if stop.grace_ms == 0 {
            self.drop_lease(&stop.lease);
        } else {
            let grace = Duration::from_millis(stop.grace_ms);
            held.ask_to_stop(&stop.reason, stop.action, grace, now);
        }
    }

    fn start(&mut self, lease: Lease, sent_at: Instant) {
        if self.held.contains_key(lease.lease.as_str()) {
            return;
        }
        if self.running >= self.settings.slots || self.drain.is_some() {
            self.outbox.push_result(&lease.lease, Outcome::Release(ReleaseRequest::default()));
            return;
        }
        let handler = self.settings.handlers.get(&lease.execution.kind).cloned();
        // The number of the exchange that brought it: an execution is leased once by each.
        let place = format!("{}.{}", self.session.get(..PLACE_CHARS).unwrap_or(&self.session), self.seen);
        let (token, held) = Held::start(lease, handler, sent_at, &place, &self.sender);
        self.running += 1;
        self.held.insert(token, held);
    }

    /// An exchange without a reply.
    fn miss(&mut self, n: u64, at: Instant, error: SendError) -> Result<(), Error> {
        if error.is_outage() && self.transport.asks_everybody() {
            self.held.values_mut().for_each(|held| held.outlasts(at));
            self.check_stops();
        }
        let is_present = self.sent.last_key_value().is_some_and(|(last, _)| *last == n);
        if !is_present {
            // It was parked and a newer one says all it said.
            self.sent.remove(&n);
            return Ok(());
        }
        if let SendError::Refused(problem) = &error
            && problem.code.class() == stint_api::Class::Permanent
        {
            return self.refused(n, problem.clone());
        }
        debug!(n, %error, "an exchange was lost and is sent again");
        if let Some(sent) = self.sent.get_mut(&n) {
            sent.is_in_air = false;
        }
        self.pace.back_off(error.retry_after_ms());
        Ok(())
    }

    /// The server will never take this exchange. If it names the item to blame, that one is answered here and
    /// the rest is sent in a new exchange; else worker and server do not fit together.
    fn refused(&mut self, n: u64, problem: stint_api::Problem) -> Result<(), Error> {
        let Some(sent) = self.sent.remove(&n) else { return Ok(()) };
        let Request::Exchange(request) = &*sent.request else { return Ok(()) };
        let Some(verdict) = Verdict::of(request, &problem) else { return Err(Error::Refused(problem)) };
        warn!(%problem, "the server refuses what a handler gave");
        let mut content = Content {
            results: request.results.clone(),
            steps: request.steps.clone(),
            logs: request.logs.clone(),
            charges: request.charges.clone(),
            holds: request.holds.clone(),
        };
        match verdict {
            Verdict::Result(at) => {
                let result = content.results.remove(at);
                self.outbox.put_back(content);
                self.outbox.push_result(&result.lease, super::reply::rejected(&problem));
            }
            Verdict::Log(at) => {
                content.logs.remove(at);
                self.outbox.put_back(content);
            }
            Verdict::Charge(at) => {
                let charge = content.charges.remove(at);
                self.outbox.put_back(content);
                self.answer_charge(&charge, &Err(problem));
            }
            Verdict::Hold(at) => {
                let hold = content.holds.remove(at);
                self.outbox.put_back(content);
                self.answer_hold(&hold, Err(problem));
            }
            Verdict::Step(at) => {
                let step = content.steps.remove(at);
                self.outbox.put_back(content);
                self.refuse_step(&step.lease, &step.key, step.output.is_some(), problem);
            }
        }
        Ok(())
    }

    /// Takes an event, and those that come with it.
    async fn take_events(&mut self, first: Event) {
        self.take_event(first);
        for _ in 0..SETTLE_TURNS {
            tokio::task::yield_now().await;
            let mut is_quiet = true;
            while let Ok(event) = self.events.try_recv() {
                self.take_event(event);
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Ended { lease, outcome } => {
                self.running = self.running.saturating_sub(1);
                if let Some(held) = self.held.get_mut(&lease)
                    && !held.has_ended
                {
                    held.has_ended = true;
                    let outcome = outcome.unwrap_or_else(|| Outcome::Release(ReleaseRequest::unfinished()));
                    self.outbox.push_result(&lease, outcome);
                }
            }
            Event::StepBegun { lease, key, answer } => {
                if let Some(held) = self.held.get_mut(&lease) {
                    held.asked.entry(key.clone()).or_default().push(answer);
                    let step = ExchangeStep { lease: lease.to_string(), key, output: None };
                    self.outbox.push_step(step, Instant::now());
                }
            }
            Event::StepRun { lease, key, output } => {
                if self.held.contains_key(&lease) {
                    let step = ExchangeStep { lease: lease.to_string(), key, output: Some(output) };
                    self.outbox.push_step(step, Instant::now());
                }
            }
            Event::Logged { lease, lines } => {
                if self.held.contains_key(&lease) {
                    self.outbox.push_log(&lease, lines, Instant::now());
                }
            }
            Event::Charged { charge, answer } => {
                let key = (charge.lease.clone(), charge.charge_id.clone());
                self.charging.entry(key).or_default().push(answer);
                self.outbox.push_charge(charge);
            }
            Event::Asked { hold, answer } => {
                if let Some(held) = self.held.get_mut(hold.lease.as_str()) {
                    held.asked_more.insert(hold.id.clone(), answer);
                    self.outbox.push_hold(hold);
                }
            }
            Event::Progress { lease, progress } => {
                if let Some(held) = self.held.get_mut(&lease) {
                    held.progress = Some(progress);
                    self.progress_due.get_or_insert_with(|| Instant::now() + PROGRESS_WAIT);
                }
            }
        }
    }

    fn wakes_at(&self, now: Instant) -> Instant {
        let idle = now + IDLE_WAIT;
        let drain_end = self
            .drain
            .as_ref()
            .map(|drain| [drain.until, drain.until + FAREWELL, drain.until + CHARGE_FAREWELL])
            .and_then(|ends| ends.into_iter().find(|end| *end > now));
        let linger = self.outbox.due_at().filter(|at| *at > now);
        let park = (self.sent.is_empty() && self.park_at > now).then_some(self.park_at);
        let progress = self.progress_due.filter(|at| *at > now);
        let pace = self.pace.waits_until().filter(|at| *at > now);
        [drain_end, linger, park, progress, pace, self.stop_check_at]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }
}
