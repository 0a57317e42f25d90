//! `POST worker/exchange`: all a worker says and hears, in one call.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::present;
use crate::log::validate_lines;
use crate::object::{ObjectOnly, objects_only};
use crate::worker::validate_claim;
use crate::{
    CLAIM_LEASES, ChargeReply, CompleteRequest, EXCHANGE_ITEMS, EndReply, ExchangeCharge, ExchangeHold,
    ExecutionState, ExtendReply, FailRequest, Instant, Lease, Limits, LogReply, Outcome, Payload, Problem,
    Progress, ReleaseRequest, SessionWorker, StepReply, StopAction, SuspendedRequest, check,
};

/// What a worker says. Answered as soon as there is anything to say, at the latest after `wait_ms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeRequest {
    /// Who speaks.
    pub worker: SessionWorker,
    /// The number of this exchange within the session, from 1. The same number is the same exchange sent again.
    pub n: u64,
    /// The number of the last reply that was read; 0 is none.
    pub seen: u64,
    /// The lanes it serves.
    pub lanes: Vec<String>,
    /// The kinds it runs; none named is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// How many leases it wants at most; 0 is none now.
    pub max: u32,
    /// How long to wait if there is nothing to say.
    pub wait_ms: u64,
    /// The leases it holds. Listing one is its heartbeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<ExchangeLease>,
    /// Attempts that ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ExchangeResult>,
    /// Steps begun or recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExchangeStep>,
    /// Lines for the logs of leased executions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<ExchangeLog>,
    /// What was spent. It is recorded before the attempt ends by the same exchange.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<ExchangeCharge>,
    /// Asks for more money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<ExchangeHold>,
    /// Whose work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A lease the worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeLease {
    /// The lease.
    pub lease: String,
    /// How far its attempt has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// An attempt that ended or parked: `{lease, complete: {..} | fail: {..} | release: {} | suspended: {}}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExchangeResult {
    /// The lease.
    pub lease: String,
    /// Its end.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A step: without `output` it is begun, with `output` (`null` included) its result is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeStep {
    /// The lease.
    pub lease: String,
    /// The step's key.
    pub key: String,
    /// Its result.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
}

/// Lines of an attempt's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExchangeLog {
    /// The lease.
    pub lease: String,
    /// The lines, in order, each without its line end. They are kept before the attempt ends by the same exchange.
    pub lines: Vec<String>,
}

/// What the worker hears.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangeReply {
    /// The number of the exchange this answers.
    pub n: u64,
    /// New leases, and those of replies that were not read.
    #[serde(default)]
    pub leases: Vec<Lease>,
    /// One for each result, step, charge, hold and entry of logs, and for each listed lease that is refused.
    #[serde(default)]
    pub answers: Vec<ExchangeAnswer>,
    /// Leases whose work has to stop.
    #[serde(default)]
    pub stops: Vec<ExchangeStop>,
    /// The worker is asked to finish what it holds and end: it gets no more leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// The answer to a result (nothing but the lease is named), a step, a charge, a hold, or an entry of logs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeAnswer {
    /// The lease.
    pub lease: String,
    /// The step's key.
    pub key: Option<String>,
    /// Whether it is about lines of the log.
    pub logs: bool,
    /// The charge's id.
    pub charge_id: Option<String>,
    /// The id of an ask for more.
    pub hold: Option<String>,
    /// What became of it.
    pub answer: Answer,
}

/// What became of one thing a worker said.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The attempt's end or the step's result is recorded: `{state, run_at?}`.
    Done(EndReply),
    /// A step was begun: `{run: true}`, `{unknown: true}` or `{result}`.
    Step(StepReply),
    /// Lines are kept: `{accepted}`.
    Logged(LogReply),
    /// A charge is recorded: `{charged: {..}}`.
    Charged(ChargeReply),
    /// More is held, or is not: `{extended: {..}}`.
    Extended(ExtendReply),
    /// It was refused: `{error}`.
    Refused(Problem),
}

/// Asks a worker to stop an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangeStop {
    /// The lease.
    pub lease: String,
    /// Why.
    pub reason: String,
    /// After this the lease is taken away; 0 if it already is.
    pub grace_ms: u64,
    /// What becomes of the execution when its worker has stopped.
    #[serde(default)]
    pub action: StopAction,
}

objects_only!(ExchangeRequest, ExchangeLease, ExchangeStep, ExchangeLog);

impl ExchangeRequest {
    /// Checks names, ranges and sizes.
    pub fn validate(&self, limits: &Limits) -> Result<(), Problem> {
        self.worker.validate().map_err(|problem| problem.within("worker"))?;
        check::range("n", self.n, 1, u64::MAX)?;
        if self.seen >= self.n {
            return Err(Problem::invalid("seen", "`seen` is the number of an earlier exchange than `n`"));
        }
        validate_claim(&self.lanes, &self.kinds, self.wait_ms)?;
        check::range("max", self.max, 0, CLAIM_LEASES)?;
        check::optional_name("namespace", self.namespace.as_ref())?;
        let lists = [
            ("leases", self.leases.len()),
            ("results", self.results.len()),
            ("steps", self.steps.len()),
            ("logs", self.logs.len()),
            ("charges", self.charges.len()),
            ("holds", self.holds.len()),
        ];
        for (field, len) in lists {
            check::count(field, len, EXCHANGE_ITEMS)?;
        }
        check::each("leases", &self.leases, |_, lease| match &lease.progress {
            Some(progress) => progress.validate().map_err(|problem| problem.within("progress")),
            None => Ok(()),
        })?;
        check::each("results", &self.results, |_, result| result.outcome.validate(limits))?;
        check::each("charges", &self.charges, |_, charge| charge.validate())?;
        check::each("holds", &self.holds, |_, hold| hold.validate())?;
        check::each("logs", &self.logs, |_, log| validate_lines("lines", &log.lines))?;
        check::each("steps", &self.steps, |_, step| {
            check::step_key("key", &step.key)?;
            step.output.as_ref().map_or(Ok(()), |output| output.validate("output", limits))
        })
    }
}

impl<'de> Deserialize<'de> for ExchangeResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = ExchangeResultForm::deserialize(ObjectOnly(deserializer))?;
        let outcome = match (wire.complete, wire.fail, wire.release, wire.suspended) {
            (Some(complete), None, None, None) => Outcome::Complete(complete),
            (None, Some(fail), None, None) => Outcome::Fail(fail),
            (None, None, Some(release), None) => Outcome::Release(release),
            (None, None, None, Some(suspended)) => Outcome::Suspended(suspended),
            _ => {
                let expected = "expected exactly one of `complete`, `fail`, `release`, `suspended`";
                return Err(D::Error::custom(expected));
            }
        };
        Ok(Self { lease: wire.lease, outcome })
    }
}

impl Serialize for ExchangeAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("lease", &self.lease)?;
        if let Some(key) = &self.key {
            map.serialize_entry("key", key)?;
        }
        if self.logs {
            map.serialize_entry("logs", &true)?;
        }
        if let Some(id) = &self.charge_id {
            map.serialize_entry("charge_id", id)?;
        }
        if let Some(id) = &self.hold {
            map.serialize_entry("hold", id)?;
        }
        match &self.answer {
            Answer::Done(end) => {
                map.serialize_entry("state", &end.state)?;
                if let Some(run_at) = &end.run_at {
                    map.serialize_entry("run_at", run_at)?;
                }
            }
            Answer::Step(StepReply::Run) => map.serialize_entry("run", &true)?,
            Answer::Step(StepReply::Unknown) => map.serialize_entry("unknown", &true)?,
            Answer::Step(StepReply::Result(result)) => map.serialize_entry("result", result)?,
            Answer::Logged(logged) => map.serialize_entry("accepted", &logged.accepted)?,
            Answer::Charged(charged) => map.serialize_entry("charged", charged)?,
            Answer::Extended(extended) => map.serialize_entry("extended", extended)?,
            Answer::Refused(problem) => map.serialize_entry("error", problem)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ExchangeAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = ExchangeAnswerForm::deserialize(deserializer)?;
        let answer = match (wire.error, wire.state, wire.result) {
            (Some(problem), _, _) => Answer::Refused(problem),
            (None, Some(state), _) => Answer::Done(EndReply { state, run_at: wire.run_at }),
            (None, None, Some(result)) => Answer::Step(StepReply::Result(result)),
            (None, None, None) if wire.run => Answer::Step(StepReply::Run),
            (None, None, None) if wire.unknown => Answer::Step(StepReply::Unknown),
            _ => match (wire.accepted, wire.charged, wire.extended) {
                (Some(accepted), _, _) => Answer::Logged(LogReply { accepted }),
                (None, Some(charged), _) => Answer::Charged(charged),
                (None, None, Some(extended)) => Answer::Extended(extended),
                (None, None, None) => {
                    let expected = "expected `state`, `run`, `unknown`, `result`, `accepted`, `charged`, `extended` or `error`";
                    return Err(D::Error::custom(expected));
                }
            },
        };
        let (charge_id, hold) = (wire.charge_id, wire.hold);
        Ok(Self { lease: wire.lease, key: wire.key, logs: wire.logs, charge_id, hold, answer })
    }
}

/// The lease, and exactly one of its ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ExchangeResultForm {
    /// The lease.
    lease: String,
    /// It ended with an output.
    complete: Option<CompleteRequest>,
    /// It ended with an error.
    fail: Option<FailRequest>,
    /// It is given back unused.
    release: Option<ReleaseRequest>,
    /// It has stopped, as its budget asked.
    suspended: Option<SuspendedRequest>,
}

/// The answer to a step (`key` present), an entry of logs (`logs` true), a charge (`charge_id`), an ask for more (`hold`), or
/// a result (none of them).
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ExchangeAnswerForm {
    /// The lease.
    lease: String,
    /// The step's key.
    key: Option<String>,
    /// It is about lines of the log.
    #[serde(default)]
    logs: bool,
    /// The charge's id.
    charge_id: Option<String>,
    /// The id of an ask for more.
    hold: Option<String>,
    /// How the charge was taken.
    charged: Option<ChargeReply>,
    /// Whether there is more.
    extended: Option<ExtendReply>,
    /// So many lines are kept.
    accepted: Option<u64>,
    /// The end or the result is recorded: what the execution is now.
    state: Option<ExecutionState>,
    /// When the next attempt is due, if there is one.
    run_at: Option<Instant>,
    /// Run the step, then record its result.
    #[serde(default)]
    run: bool,
    /// An earlier attempt began the step and never said how it ended.
    #[serde(default)]
    unknown: bool,
    /// The step has been run; this is its result.
    #[serde(default, deserialize_with = "present")]
    result: Option<Payload>,
    /// It was refused.
    error: Option<Problem>,
}
