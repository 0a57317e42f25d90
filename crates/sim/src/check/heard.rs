//! What clients and workers hear, compared with what is committed at that moment.

use std::collections::BTreeMap;

use stint::transport::{Reply, Request};
use stint_api::{Answer, BatchResult, ExchangeRequest, ExecutionState, Outcome, Payload, SubmitReply};
use stint_core::model::State;
use stint_core::{ExecutionId, LeaseRef};
use stint_store::PartitionId;

use super::{Checker, Standing};
use crate::invariant::Invariant;
use crate::job::{Job, payload_text};

/// What was so when a request was sent.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    at_ms: u64,
    leases: BTreeMap<String, Standing>,
}

impl Checker {
    /// Notes what a request is about before it is sent for the first time.
    pub(crate) fn asked(&mut self, who: &str, request: &Request) -> Asked {
        let Request::Exchange(exchange) = request else { return self.asked_now(request) };
        // An exchange that is sent again is answered as it was the first time.
        let at = (who.to_owned(), exchange.n);
        if let Some(asked) = self.exchanges.get(&at) {
            return asked.clone();
        }
        let asked = self.asked_now(request);
        self.exchanges.insert(at, asked.clone());
        asked
    }

    fn asked_now(&mut self, request: &Request) -> Asked {
        let leases: Vec<String> = match request {
            Request::Heartbeat(lease, _)
            | Request::Complete(lease, _)
            | Request::Fail(lease, _)
            | Request::Release(lease, _)
            | Request::BeginStep(lease, _)
            | Request::RecordStep { lease, .. } => vec![lease.clone()],
            Request::Exchange(exchange) => {
                let results = exchange.results.iter().map(|result| &result.lease);
                results.chain(exchange.steps.iter().map(|step| &step.lease)).cloned().collect()
            }
            _ => Vec::new(),
        };
        let leases: BTreeMap<String, Standing> =
            leases.into_iter().map(|lease| (lease.clone(), self.standing(&lease))).collect();
        for (lease, word) in words(request) {
            let standing = leases.get(&lease).copied().unwrap_or(Standing::Unsure);
            if standing != Standing::Stale {
                self.leases_said(lease, word);
            }
        }
        Asked { at_ms: self.now_ms(), leases }
    }

    /// Compares a reply that arrives at `who` with what is committed.
    pub(crate) fn heard(&mut self, who: &str, request: &Request, reply: &Reply, asked: &Asked) {
        self.look();
        match (request, reply) {
            (Request::Submit(submit), Reply::Submitted(reply)) => {
                self.submitted(&submit.input, reply, asked);
            }
            (Request::SubmitBatch(batch), Reply::Batch(reply)) => {
                for (submit, result) in batch.executions.iter().zip(&reply.results) {
                    if let BatchResult::Submitted(reply) = result {
                        self.submitted(&submit.input, reply, asked);
                    }
                }
            }
            (Request::Result { of, .. }, Reply::Result(reply)) => {
                let output = reply.output.as_ref().map(payload_text);
                self.read(&of.name, reply.state, Some(output), asked);
            }
            (Request::Execution(of), Reply::Execution(execution)) => {
                self.read(&of.name, execution.state, None, asked);
            }
            (Request::Lease(_), Reply::Leases(reply)) => {
                for lease in &reply.leases {
                    self.lease_heard(who, &lease.lease);
                }
            }
            (Request::Complete(lease, complete), Reply::Ended(reply)) => {
                self.ended(lease, &Outcome::Complete(complete.clone()), reply.state, asked);
            }
            (Request::Fail(lease, fail), Reply::Ended(reply)) => {
                self.ended(lease, &Outcome::Fail(fail.clone()), reply.state, asked);
            }
            (Request::Release(lease, release), Reply::Ended(reply)) => {
                self.ended(lease, &Outcome::Release(release.clone()), reply.state, asked);
            }
            (Request::Heartbeat(lease, _), Reply::Heartbeat(_)) => self.was_good(lease, "heartbeat", asked),
            (Request::BeginStep(lease, _), Reply::Step(_)) => self.was_good(lease, "step", asked),
            (Request::RecordStep { lease, key, request }, Reply::Ended(_)) => {
                self.recorded(lease, key, &request.output, asked);
            }
            (Request::Exchange(request), Reply::Exchange(reply)) => {
                self.exchanged(request, &reply.answers, asked);
                for lease in &reply.leases {
                    self.lease_heard(who, &lease.lease);
                }
            }
            _ => {}
        }
    }

    /// Whether a reply asked for at `asked_ms` may be about something a rollback took.
    pub(super) fn may_be_lost(&self, id: ExecutionId, asked_ms: u64) -> bool {
        let lost_at = self.watched(PartitionId(id.partition().0)).and_then(|watched| watched.lost_at_ms);
        self.is_tainted(id) || lost_at.is_some_and(|lost_at| lost_at >= asked_ms)
    }

    /// Whether a job's submission was acknowledged.
    pub(crate) fn is_acknowledged(&self, job: u64) -> bool {
        self.jobs.contains_key(&job)
    }

    /// The same body was refused under the key of a job.
    pub(crate) fn conflicted(&mut self, job: u64, why: &str) {
        if !self.jobs.get(&job).is_some_and(|id| self.may_be_lost(*id, 0)) {
            self.found(Invariant::Idempotent, format!("job {job} conflicts with itself: {why}"));
        }
    }

    /// Another body was accepted under the key of a job that had been acknowledged.
    pub(crate) fn contradicted(&mut self, job: u64, id: &str) {
        let Some(first) = self.jobs.get(&job).copied() else { return };
        if !self.may_be_lost(first, 0) {
            self.found(
                Invariant::Idempotent,
                format!("{id} was accepted under the key of job {job}, {first}"),
            );
        }
    }

    fn submitted(&mut self, input: &Payload, reply: &SubmitReply, asked: &Asked) {
        let (Some(job), Ok(id)) = (Job::of_payload(input), reply.id.parse::<ExecutionId>()) else { return };
        let number = job.job;
        if self.seen(id).is_none() && !self.trimmed.contains(&id) && !self.may_be_lost(id, asked.at_ms) {
            self.found(
                Invariant::SubmissionKept,
                format!("job {number} was acknowledged as {id}: not there"),
            );
        }
        if let Some(is) = self.seen(id).and_then(|seen| seen.job.as_ref()).map(|is| is.job)
            && is != number
        {
            self.found(
                Invariant::Idempotent,
                format!("job {number} was answered with {id}, which is job {is}"),
            );
        }
        match self.jobs.get(&number).copied() {
            Some(known) if known == id => {}
            Some(known) if !self.may_be_lost(known, 0) => {
                self.found(
                    Invariant::Idempotent,
                    format!("job {number} was acknowledged as {known} and {id}"),
                );
            }
            _ => _ = self.jobs.insert(number, id),
        }
    }

    /// A terminal state that is read must be one that was committed.
    fn read(&mut self, id: &str, state: ExecutionState, output: Option<Option<String>>, asked: &Asked) {
        let Ok(id) = id.parse::<ExecutionId>() else { return };
        if !state.is_terminal() || state == ExecutionState::Trimmed || self.may_be_lost(id, asked.at_ms) {
            return;
        }
        let Some(seen) = self.seen(id) else { return };
        let matches = seen.ends.iter().any(|end| {
            end.state.name() == state.as_str()
                && output.as_ref().is_none_or(|output| end.output.may_be(output))
        });
        if !matches {
            let what = format!("{id} was read as {state} {output:?}, committed were {:?}", seen.ends);
            self.found(Invariant::ReplyCommitted, what);
        }
    }

    fn exchanged(&mut self, request: &ExchangeRequest, answers: &[stint_api::ExchangeAnswer], asked: &Asked) {
        for answer in answers {
            match (&answer.key, &answer.answer) {
                (None, Answer::Done(reply)) => {
                    let result = request.results.iter().find(|result| result.lease == answer.lease);
                    if let Some(result) = result {
                        self.ended(&answer.lease, &result.outcome, reply.state, asked);
                    }
                }
                (Some(key), Answer::Done(_)) => {
                    let step = request
                        .steps
                        .iter()
                        .find(|step| step.lease == answer.lease && step.key == *key && step.output.is_some());
                    if let Some(output) = step.and_then(|step| step.output.as_ref()) {
                        self.recorded(&answer.lease, key, output, asked);
                    }
                }
                (Some(_), Answer::Step(_)) => self.was_good(&answer.lease, "step", asked),
                _ => {}
            }
        }
    }

    /// An attempt's end was acknowledged.
    fn ended(&mut self, lease: &str, outcome: &Outcome, state: ExecutionState, asked: &Asked) {
        let Ok(held) = lease.parse::<LeaseRef>() else { return };
        let id = held.execution;
        let before = asked.leases.get(lease).copied().unwrap_or(Standing::Unsure);
        if self.may_be_lost(id, asked.at_ms) || before == Standing::Unsure {
            return;
        }
        let output = match outcome {
            Outcome::Complete(complete) => Some(payload_text(&complete.output)),
            _ => None,
        };
        if before == Standing::Stale {
            // A word that was said in time may be repeated: it is answered as it was, and changes nothing.
            if self.was_said(lease, &word(outcome)) {
                return;
            }
            let what = format!("epoch {} of {id} was stale, and its end was taken", held.epoch);
            return self.found(Invariant::StaleLease, what);
        }
        if self.standing(lease) == Standing::Valid {
            let what = format!("epoch {} of {id}: its end was acknowledged, but it still holds", held.epoch);
            return self.found(Invariant::ReplyCommitted, what);
        }
        if let Some(output) = output
            && state == ExecutionState::Completed
            && let Some(seen) = self.seen(id)
        {
            let ends: Vec<_> = seen
                .ends
                .iter()
                .filter(|end| end.epoch == held.epoch && end.state == State::Completed)
                .collect();
            let output = Some(output);
            if !ends.iter().any(|end| end.output.may_be(&output)) {
                let invariant =
                    if ends.is_empty() { Invariant::ReplyCommitted } else { Invariant::StaleLease };
                self.found(invariant, format!("{output:?} was acknowledged for {id}, it has {ends:?}"));
            }
        }
    }

    fn recorded(&mut self, lease: &str, key: &str, output: &Payload, asked: &Asked) {
        self.was_good(lease, "step result", asked);
        if let Ok(held) = lease.parse::<LeaseRef>()
            && !self.may_be_lost(held.execution, asked.at_ms)
        {
            self.step_recorded(held.execution, key, &payload_text(output));
        }
    }

    fn was_good(&mut self, lease: &str, what: &str, asked: &Asked) {
        let stale =
            asked.leases.get(lease).is_some_and(|before| matches!(before, Standing::Stale | Standing::Last));
        if stale {
            self.found(Invariant::StaleLease, format!("a {what} was taken under a stale lease"));
        }
    }
}

/// The ends that a request says, by lease.
fn words(request: &Request) -> Vec<(String, String)> {
    match request {
        Request::Complete(lease, request) => vec![(lease.clone(), word(&Outcome::Complete(request.clone())))],
        Request::Fail(lease, request) => vec![(lease.clone(), word(&Outcome::Fail(request.clone())))],
        Request::Release(lease, request) => vec![(lease.clone(), word(&Outcome::Release(request.clone())))],
        Request::Exchange(exchange) => {
            exchange.results.iter().map(|result| (result.lease.clone(), word(&result.outcome))).collect()
        }
        _ => Vec::new(),
    }
}

/// What tells one end from another.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete(complete) => format!("complete {}", payload_text(&complete.output)),
        Outcome::Fail(fail) => format!("fail {} {}", fail.error.kind, fail.error.message),
        Outcome::Release(_) => "release".to_owned(),
        Outcome::Suspended(_) => "suspended".to_owned(),
    }
}
