//! The wire between clients, workers and nodes: it loses, delays and repeats what is said, and what is answered.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint::transport::{InProcess, Reply, Request, SendError, Transport};

use crate::dice::Dice;
use crate::node::Running;
use crate::plan::Wire;
use crate::plant::Plant;
use crate::world::World;

/// Longest time a message is late, in ms: beyond every lease.
const LATE_MS: u64 = 40_000;

/// One client's or worker's way to the nodes.
pub(crate) struct SeamTransport {
    world: Arc<World>,
    who: String,
    dice: Dice,
    /// The node it speaks to until that fails.
    node: AtomicUsize,
}

/// What becomes of one message.
#[derive(Default)]
struct Weather {
    lost_request: bool,
    lost_reply: bool,
    before: Duration,
    after: Duration,
    repeated: Option<Duration>,
    /// The caller's connection carries the call, which ends with it.
    hung_up: bool,
}

impl SeamTransport {
    pub(crate) fn new(world: &Arc<World>, who: &str) -> Arc<Self> {
        let dice = Dice::new(world.plan.seed, who);
        let node = AtomicUsize::new(dice.below(World::NODES as u64) as usize);
        Arc::new(Self { world: Arc::clone(world), who: who.to_owned(), dice, node })
    }

    async fn carry(&self, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let asked = self.world.check().asked(&self.who, request);
        let weather = self.weather(request);
        let at = self.node.load(Relaxed);
        self.world.say(format_args!("{} to n{at}: {}", self.who, name(request)));
        tokio::time::sleep(weather.before).await;
        let answer = match self.world.running(at) {
            _ if weather.lost_request => {
                tokio::time::sleep(weather.after).await;
                Err(SendError::Lost("the request was lost".to_owned()))
            }
            None => Err(SendError::Unreachable(format!("n{at} is down"))),
            Some(running) => self.call(running, request, key, &weather).await,
        };
        if answer.is_err() && self.dice.chance(500) {
            self.node.store((at + 1) % World::NODES, Relaxed);
        }
        let answer = answer.map(|reply| self.planted_reply(reply));
        match &answer {
            Ok(reply) => {
                self.world.say(format_args!("{} hears: {}", self.who, said(reply)));
                self.world.check().heard(&self.who, request, reply, &asked);
            }
            Err(error) => self.world.say(format_args!("{} hears: {error}", self.who)),
        }
        answer
    }

    async fn call(
        &self,
        running: Running,
        request: &Request,
        key: Option<&str>,
        weather: &Weather,
    ) -> Result<Reply, SendError> {
        let request = self.planted_request(request);
        if let Some(wait) = weather.repeated {
            let (engine, request) = (running.engine.clone(), request.clone());
            let key = match self.planted(Plant::FreshKeys) {
                true => key.map(|_| format!("again.{}", self.dice.below(1 << 40))),
                false => key.map(str::to_owned),
            };
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _nobody_listens = InProcess::new(engine).send(&request, key.as_deref()).await;
            });
        }
        let key = key.map(str::to_owned);
        let engine = running.engine.clone();
        let calling = async move { InProcess::new(engine).send(&request, key.as_deref()).await };
        let lost = |why: &str| SendError::Lost(why.to_owned());
        let answer = if weather.hung_up {
            tokio::select! {
                biased;
                () = running.life.died() => Err(lost("the node died")),
                answer = calling => answer,
            }
        } else {
            let call = tokio::spawn(calling);
            tokio::select! {
                biased;
                () = running.life.died() => Err(lost("the node died")),
                answer = call => answer.unwrap_or_else(|_| Err(lost("the call ended without an answer"))),
            }
        };
        tokio::time::sleep(weather.after).await;
        if weather.lost_reply { Err(lost("the reply was lost")) } else { answer }
    }

    fn weather(&self, request: &Request) -> Weather {
        let dice = &self.dice;
        let hop = || Duration::from_micros(dice.between(100, 2_000));
        let mut weather = Weather { before: hop(), after: hop(), ..Weather::default() };
        if self.world.is_calm() {
            return weather;
        }
        let Wire { lost_request, lost_reply, late_request, late_reply, repeated, hung_up } =
            self.world.plan.wire;
        weather.lost_request = dice.chance(lost_request);
        weather.lost_reply = dice.chance(lost_reply);
        weather.hung_up = dice.chance(hung_up);
        // Some things may be said late or twice and mean the same; the others travel on a connection that keeps
        // order, and their callers decide about saying them again.
        let means_the_same = !matches!(
            request,
            Request::Replay(..)
                | Request::ActOnLane(..)
                | Request::SetLane(..)
                | Request::SetNamespace(..)
                | Request::Act(..)
        );
        if means_the_same && dice.chance(late_request) {
            weather.before += late(dice);
        }
        if dice.chance(late_reply) {
            weather.after += late(dice);
        }
        if means_the_same && dice.chance(repeated) {
            weather.repeated = Some(late(dice));
        }
        weather
    }

    fn planted(&self, plant: Plant) -> bool {
        self.world.plan.plant == Some(plant)
    }

    fn planted_request(&self, request: &Request) -> Request {
        let mut request = request.clone();
        match &mut request {
            Request::Submit(submit) if self.planted(Plant::MoreAttempts) => {
                submit.max_crashes = submit.max_crashes.map(|crashes| crashes + 2);
                if let Some(retry) = &mut submit.retry {
                    retry.max_attempts = retry.max_attempts.map(|attempts| attempts + 2);
                }
            }
            Request::Complete(lease, _) | Request::Heartbeat(lease, _) if self.planted(Plant::StaleLease) => {
                if let Some(present) = self.world.check().present_lease(lease) {
                    *lease = present;
                }
            }
            _ => {}
        }
        request
    }

    fn planted_reply(&self, mut reply: Reply) -> Reply {
        if self.planted(Plant::LongLease)
            && let Reply::Exchange(exchange) = &mut reply
        {
            for lease in &mut exchange.leases {
                lease.ttl_ms *= 4;
            }
        }
        reply
    }
}

impl Transport for SeamTransport {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.carry(request, key))
    }
}

impl fmt::Debug for SeamTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeamTransport").field("who", &self.who).finish_non_exhaustive()
    }
}

/// Mostly a little, at times beyond every time-out.
fn late(dice: &Dice) -> Duration {
    let most = if dice.chance(700) { 500 } else { LATE_MS };
    Duration::from_millis(dice.below(most))
}

/// A request for the trace: what it is and whom it is about.
fn name(request: &Request) -> String {
    match request {
        Request::Submit(submit) => format!("submit {}", crate::job::payload_text(&submit.input)),
        Request::SubmitBatch(batch) => format!("submit {}", batch.executions.len()),
        Request::Execution(of) => format!("show {}", of.name),
        Request::Result { of, wait_ms } => format!("result of {} within {wait_ms}", of.name),
        Request::Why(of) => format!("why {}", of.name),
        Request::Cancel(id, _) => format!("cancel {id}"),
        Request::Replay(id, replay) => format!("replay {id} from {:?}", replay.from_step),
        Request::SetPriority(id, priority) => format!("priority {id} {}", priority.priority),
        Request::Tag(id, tag) => format!("tag {id} {:?}", tag.tags),
        Request::Act(action, id, _) => format!("{action:?} {id}"),
        Request::SetLane(lane, _) => format!("set lane {lane}"),
        Request::ActOnLane(action, of) => format!("{action:?} lane {}", of.name),
        Request::Lease(lease) => format!("lease {}", lease.max),
        Request::Heartbeat(lease, _) => format!("heartbeat {}", of(lease)),
        Request::Complete(lease, _) => format!("complete {}", of(lease)),
        Request::Fail(lease, _) => format!("fail {}", of(lease)),
        Request::Release(lease, _) => format!("release {}", of(lease)),
        Request::BeginStep(lease, step) => format!("begin {} of {}", step.key, of(lease)),
        Request::RecordStep { lease, key, .. } => format!("record {key} of {}", of(lease)),
        Request::Exchange(exchange) => format!(
            "exchange {} seen {} max {} wait {} holds {:?} ends {:?} steps {:?}",
            exchange.n,
            exchange.seen,
            exchange.max,
            exchange.wait_ms,
            exchange.leases.iter().map(|lease| of(&lease.lease)).collect::<Vec<_>>(),
            exchange.results.iter().map(|result| of(&result.lease)).collect::<Vec<_>>(),
            exchange.steps.iter().map(|step| format!("{} {}", of(&step.lease), step.key)).collect::<Vec<_>>(),
        ),
        other => format!("{other:?}"),
    }
}

/// Which lease a secret text is.
fn of(lease: &str) -> String {
    match lease.parse::<stint_core::LeaseRef>() {
        Ok(lease) => format!("{}/{}", lease.execution, lease.epoch),
        Err(_) => "no lease".to_owned(),
    }
}

fn said(reply: &Reply) -> String {
    match reply {
        Reply::Submitted(reply) => format!("{} {} existed {}", reply.id, reply.state, reply.existed),
        Reply::Leases(reply) => {
            format!("leases {:?}", reply.leases.iter().map(|lease| of(&lease.lease)).collect::<Vec<_>>())
        }
        Reply::Result(reply) => format!("result {}", reply.state),
        Reply::Acted(reply) => format!("{} is {}", reply.id, reply.state),
        Reply::Ended(reply) => format!("ended {}", reply.state),
        Reply::LaneChanged(reply) => format!("lane, missing {:?}", reply.missing_partitions),
        Reply::Exchange(reply) => format!(
            "exchange {} leases {:?} answers {} stops {:?}",
            reply.n,
            reply.leases.iter().map(|lease| of(&lease.lease)).collect::<Vec<_>>(),
            reply
                .answers
                .iter()
                .map(|answer| match &answer.answer {
                    stint_api::Answer::Refused(problem) => format!("{} {}", of(&answer.lease), problem.code),
                    stint_api::Answer::Done(_) => format!("{} done", of(&answer.lease)),
                    stint_api::Answer::Step(_) => format!("{} step", of(&answer.lease)),
                    stint_api::Answer::Logged(_) => format!("{} logged", of(&answer.lease)),
                    stint_api::Answer::Charged(_) => format!("{} charged", of(&answer.lease)),
                    stint_api::Answer::Extended(_) => format!("{} extended", of(&answer.lease)),
                })
                .collect::<Vec<_>>()
                .join(", "),
            reply.stops.iter().map(|stop| of(&stop.lease)).collect::<Vec<_>>(),
        ),
        Reply::Execution(execution) => format!("{} is {}", execution.id, execution.state),
        _ => "a reply".to_owned(),
    }
}
