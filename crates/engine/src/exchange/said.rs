//! What one exchange says, as commands; and their outcomes, as answers.

use stint_api::{
    Answer, EndReply, ExchangeAnswer, ExchangeRequest, ExchangeStop, Outcome as End, Problem, StepReply,
};
use stint_core::command::{
    BeginStep, ChargeLease, Complete, Fail, Heartbeat, Log, Outcome, RecordStep, Release, Suspend,
};
use stint_core::model::StepOutcome;
use stint_core::{Command, LeaseRef, Millis, Refusal, RequestId};
use tokio::time::Instant;

use crate::CallError;
use crate::edge::budget::kept_amounts;
use crate::edge::charge::spent;
use crate::edge::{lease, payload, problem, submission, view};
use crate::engine::{More, logged};

/// One thing said: which command it is, and whom its answer is for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) lease: LeaseRef,
    pub(crate) what: What,
    pub(crate) order: Order,
}

/// What it comes to.
#[derive(Debug)]
pub(crate) enum Order {
    /// A command to the execution's partition.
    Command(Box<Command>),
    /// A charge: recorded there, and booked in its trees.
    Charge(ChargeLease),
    /// An ask for more: the execution's partition says of whom.
    More(More),
}

impl Ask {
    /// Asks how a listed lease stands.
    pub(crate) fn heartbeat(lease: LeaseRef) -> Self {
        let command = Command::Heartbeat(Heartbeat { lease, progress: None });
        Self::command(lease, What::Listed, command)
    }

    fn command(lease: LeaseRef, what: What, command: Command) -> Self {
        Self { lease, what, order: Order::Command(Box::new(command)) }
    }
}

/// What is said of a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// It is held.
    Listed,
    /// Its attempt ends.
    Ends,
    /// A step is begun.
    Begins(String),
    /// A step's result is recorded.
    Records(String),
    /// Lines of its attempt are kept.
    Logs,
    /// Something was spent.
    Charges(String),
    /// It asks for more.
    Asks(String),
}

/// A request, its leases read. Leases that are none are answered at once.
#[derive(Default, Debug)]
pub(crate) struct Parsed {
    pub(crate) listed: Vec<(LeaseRef, bool)>,
    pub(crate) ended: Vec<LeaseRef>,
    pub(crate) stepped: Vec<LeaseRef>,
    /// One heartbeat for each entry of `listed`.
    heartbeats: Vec<Ask>,
    /// Charges, then steps, then lines of logs, then ends: a step's result ends the doubt that its charge comes out of, and what
    /// an attempt says is kept before it ends.
    pub(crate) asks: Vec<Ask>,
    pub(crate) refused: Vec<ExchangeAnswer>,
}

impl Parsed {
    /// Reads and empties the request's lists.
    pub(crate) fn of(request: &mut ExchangeRequest) -> Self {
        let mut parsed = Self::default();
        for listed in std::mem::take(&mut request.leases) {
            let Some(lease) = parsed.read(&listed.lease, &What::Listed) else { continue };
            parsed.listed.push((lease, listed.progress.is_some()));
            let progress = listed.progress.map(view::kept_progress);
            let command = Command::Heartbeat(Heartbeat { lease, progress });
            parsed.heartbeats.push(Ask::command(lease, What::Listed, command));
        }
        parsed.money(request);
        for step in std::mem::take(&mut request.steps) {
            let Some(lease) = parsed.read(&step.lease, &What::Begins(step.key.clone())) else { continue };
            parsed.stepped.push(lease);
            let key = step.key.clone();
            let (what, command) = match step.output {
                None => (What::Begins(key), Command::BeginStep(BeginStep { lease, key: step.key })),
                Some(output) => {
                    let output = payload::kept(output);
                    (What::Records(key), Command::RecordStep(RecordStep { lease, key: step.key, output }))
                }
            };
            parsed.asks.push(Ask::command(lease, what, command));
        }
        for (index, log) in std::mem::take(&mut request.logs).into_iter().enumerate() {
            let Some(lease) = parsed.read(&log.lease, &What::Logs) else { continue };
            parsed.stepped.push(lease);
            // Sent again, to this node or to another, it is the same exchange and writes once.
            let of = format!("{}.{}.{index}", request.worker.session, request.n);
            let call = Some(RequestId::derived(of.as_bytes()));
            let command = Command::Log(Log { lease, lines: log.lines, request: call });
            parsed.asks.push(Ask::command(lease, What::Logs, command));
        }
        for result in std::mem::take(&mut request.results) {
            let Some(lease) = parsed.read(&result.lease, &What::Ends) else { continue };
            parsed.ended.push(lease);
            parsed.asks.push(Ask::command(lease, What::Ends, end(lease, result.outcome)));
        }
        parsed
    }

    /// Everything to be asked, with the heartbeats of those listed leases that `renew` names.
    pub(crate) fn commands(&mut self, renew: &[usize]) -> Vec<Ask> {
        let mut place = 0;
        self.heartbeats.retain(|_| {
            place += 1;
            renew.binary_search(&(place - 1)).is_ok()
        });
        let mut asks = std::mem::take(&mut self.heartbeats);
        asks.append(&mut self.asks);
        asks
    }

    /// The places of all listed leases.
    pub(crate) fn all_listed(&self) -> Vec<usize> {
        (0..self.heartbeats.len()).collect()
    }

    /// Charges and asks for more.
    fn money(&mut self, request: &mut ExchangeRequest) {
        for charge in std::mem::take(&mut request.charges) {
            let what = What::Charges(charge.charge_id.clone());
            let Some(lease) = self.read(&charge.lease, &what) else { continue };
            self.stepped.push(lease);
            let spent = spent(charge.amounts.as_ref(), charge.usage);
            let charge = ChargeLease { lease, id: charge.charge_id, spent, step: charge.step };
            self.asks.push(Ask { lease, what, order: Order::Charge(charge) });
        }
        for hold in std::mem::take(&mut request.holds) {
            let what = What::Asks(hold.id.clone());
            let Some(lease) = self.read(&hold.lease, &what) else { continue };
            self.stepped.push(lease);
            let (id, path, amounts) = (hold.id, hold.path, kept_amounts(&hold.amounts));
            let more = More { id, path, amounts, at_least: hold.at_least };
            self.asks.push(Ask { lease, what, order: Order::More(more) });
        }
    }

    fn read(&mut self, text: &str, what: &What) -> Option<LeaseRef> {
        match problem::lease_ref(text) {
            Ok(lease) => Some(lease),
            Err(problem) => {
                self.refused.push(about(text.to_owned(), what, Answer::Refused(problem)));
                None
            }
        }
    }
}

/// The command that ends an attempt as its worker says.
pub(crate) fn end(lease: LeaseRef, outcome: End) -> Command {
    match outcome {
        End::Complete(complete) => {
            Command::Complete(Complete { lease, output: payload::kept(complete.output) })
        }
        End::Fail(fail) => Command::Fail(Fail {
            lease,
            error: view::error_info(fail.error),
            retry: fail.retry,
            retry_after_ms: fail.retry_after_ms.map(submission::millis),
            unfinished: fail.unfinished,
        }),
        End::Release(release) => Command::Release(Release { lease, unfinished: release.unfinished }),
        End::Suspended(_) => Command::Suspend(Suspend { lease }),
    }
}

/// What an end came to.
pub(crate) fn ended(outcome: Outcome) -> Result<EndReply, Problem> {
    match outcome {
        Outcome::Ended(state) => Ok(EndReply { state: view::state(state), run_at: None }),
        Outcome::RetryAt(at) => Ok(EndReply {
            state: stint_api::ExecutionState::Scheduled,
            run_at: Some(stint_api::Instant::from_millis(at)),
        }),
        // Its money is free, and that is all that its word still does.
        Outcome::SettledLate => Err(problem::refused(stint_core::Refusal::LeaseLost)),
        _ => Err(problem::unexpected()),
    }
}

/// What a step came to.
pub(crate) fn step(outcome: Outcome) -> Result<StepReply, Problem> {
    match outcome {
        Outcome::Step(StepOutcome::Run) => Ok(StepReply::Run),
        Outcome::Step(StepOutcome::Unknown) => Ok(StepReply::Unknown),
        Outcome::Step(StepOutcome::Result(result)) => Ok(StepReply::Result(payload::stored(&result, None))),
        _ => Err(problem::unexpected()),
    }
}

/// An answer, with what it is about.
pub(crate) fn about(lease: String, what: &What, answer: Answer) -> ExchangeAnswer {
    let mut about = ExchangeAnswer { lease, key: None, logs: false, charge_id: None, hold: None, answer };
    match what {
        What::Begins(key) | What::Records(key) => about.key = Some(key.clone()),
        What::Logs => about.logs = true,
        What::Charges(id) => about.charge_id = Some(id.clone()),
        What::Asks(id) => about.hold = Some(id.clone()),
        What::Listed | What::Ends => {}
    }
    about
}

/// What one thing said came to.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Something to tell the worker.
    Answer(ExchangeAnswer),
    /// The lease is gone, which is worth an answer.
    Lost(ExchangeAnswer),
    /// The lease holds.
    Renewed(Renewed),
    /// A heartbeat was not taken: nothing the worker believes of its leases would be sure.
    Unheard(Problem),
}

/// See [`Heard::Renewed`].
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) attempt: u32,
    /// How long it lasts from `sent`.
    pub(crate) left: std::time::Duration,
    /// How long it lasts from a heartbeat that is written.
    pub(crate) ttl: std::time::Duration,
    pub(crate) sent: Instant,
    /// Its work has to stop, at this instant at the latest.
    pub(crate) stop: Option<(ExchangeStop, Millis)>,
}

/// Judges an outcome.
pub(crate) fn heard(of: LeaseRef, what: &What, answer: Result<Outcome, CallError>, sent: Instant) -> Heard {
    let lease = of.to_string();
    let answer = match (what, answer) {
        (What::Listed, Ok(Outcome::Renewed(renewal))) => {
            let stop = renewal.stop.as_ref().map(|stopping| {
                let stint_api::Stop { reason, grace_ms, action } = lease::stop(stopping);
                (ExchangeStop { lease, reason, grace_ms, action }, stopping.until)
            });
            let (left, ttl) = (lease::duration(renewal.ttl_ms), lease::duration(renewal.whole_ttl_ms));
            return Heard::Renewed(Renewed { attempt: renewal.attempt, left, ttl, sent, stop });
        }
        (What::Listed, Ok(_)) => return Heard::Unheard(problem::unexpected()),
        (What::Listed, Err(CallError::Refused(refusal @ Refusal::LeaseLost))) => {
            return Heard::Lost(about(lease, what, Answer::Refused(problem::refused(refusal))));
        }
        (What::Listed, Err(error)) => return Heard::Unheard(problem::problem(error)),
        (What::Ends, answer) => answer.map_err(problem::problem).and_then(ended).map(Answer::Done),
        (What::Begins(_), answer) => answer.map_err(problem::problem).and_then(step).map(Answer::Step),
        (What::Logs, answer) => answer.map_err(problem::problem).and_then(logged).map(Answer::Logged),
        (What::Records(_), answer) => answer.map_err(problem::problem).and_then(recorded).map(Answer::Done),
        (What::Charges(_) | What::Asks(_), answer) => {
            answer.map_err(problem::problem).and_then(|_| Err(problem::unexpected()))
        }
    };
    Heard::Answer(about(lease, what, answer.unwrap_or_else(Answer::Refused)))
}

/// What a recorded step came to: its attempt runs on.
pub(crate) fn recorded(outcome: Outcome) -> Result<EndReply, Problem> {
    match outcome {
        Outcome::Step(_) | Outcome::Done => {
            Ok(EndReply { state: stint_api::ExecutionState::Running, run_at: None })
        }
        _ => Err(problem::unexpected()),
    }
}
