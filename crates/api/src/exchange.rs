//! `POST worker/exchange`: all a worker says and hears, in one call.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::present;
use crate::log::validate_lines;
use crate::object::{ObjectOnly, objects_only};
use crate::worker::validate_claim;
use crate::{
    CLAIM_LEASES, CompleteRequest, EXCHANGE_ITEMS, EndReply, ExecutionState, FailRequest, Instant, Lease,
    Limits, LogReply, Outcome, Payload, Problem, Progress, ReleaseRequest, SessionWorker, StepReply, check,
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

/// An attempt that ended: `{lease, complete: {..} | fail: {..} | release: {}}`.
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
    /// One for each result, step and entry of logs, and for each listed lease that is refused.
    #[serde(default)]
    pub answers: Vec<ExchangeAnswer>,
    /// Leases whose work has to stop.
    #[serde(default)]
    pub stops: Vec<ExchangeStop>,
    /// The worker is asked to finish what it holds and end: it gets no more leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// The answer to a result (`key` absent), a step, or an entry of logs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeAnswer {
    /// The lease.
    pub lease: String,
    /// The step's key.
    pub key: Option<String>,
    /// Whether it is about lines of the log.
    pub logs: bool,
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
        ];
        for (field, len) in lists {
            check::count(field, len, EXCHANGE_ITEMS)?;
        }
        check::each("leases", &self.leases, |_, lease| match &lease.progress {
            Some(progress) => progress.validate().map_err(|problem| problem.within("progress")),
            None => Ok(()),
        })?;
        check::each("results", &self.results, |_, result| result.outcome.validate(limits))?;
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
        let outcome = match (wire.complete, wire.fail, wire.release) {
            (Some(complete), None, None) => Outcome::Complete(complete),
            (None, Some(fail), None) => Outcome::Fail(fail),
            (None, None, Some(release)) => Outcome::Release(release),
            _ => return Err(D::Error::custom("expected exactly one of `complete`, `fail`, `release`")),
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
            _ => match wire.accepted {
                Some(accepted) => Answer::Logged(LogReply { accepted }),
                None => {
                    let expected = "expected `state`, `run`, `unknown`, `result`, `accepted` or `error`";
                    return Err(D::Error::custom(expected));
                }
            },
        };
        Ok(Self { lease: wire.lease, key: wire.key, logs: wire.logs, answer })
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
}

/// The answer to a result (`key` and `logs` absent), a step (`key` present) or an entry of logs (`logs` true).
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
