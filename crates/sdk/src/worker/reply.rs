//! What an exchange's answers mean for the leases, results and steps it carried.

use std::collections::BTreeMap;

use stint_api::{
    Answer, ChargeReply, Class, Code, ExchangeAnswer, ExchangeCharge, ExchangeHold, ExchangeLog,
    ExchangeRequest, ExchangeResult, ExchangeStep, ExtendReply, FailRequest, Outcome, Problem,
    ReleaseRequest, StepReply,
};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::exchange::Exchanger;
use super::outbox::Content;

/// Which item of an exchange the server refuses the whole exchange for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The result at this index.
    Result(usize),
    /// The step at this index.
    Step(usize),
    /// The lines at this index.
    Log(usize),
    /// The charge at this index.
    Charge(usize),
    /// The ask for more at this index.
    Hold(usize),
}

/// What one exchange said and is to be answered for.
#[derive(Default)]
struct Open<'a> {
    results: BTreeMap<&'a str, &'a ExchangeResult>,
    steps: BTreeMap<&'a str, Vec<&'a ExchangeStep>>,
    logs: BTreeMap<&'a str, &'a ExchangeLog>,
    charges: BTreeMap<&'a str, Vec<&'a ExchangeCharge>>,
    holds: BTreeMap<&'a str, Vec<&'a ExchangeHold>>,
}

/// Takes the first of a lease's items that is the one.
fn take<'a, T>(
    items: &mut BTreeMap<&'a str, Vec<&'a T>>,
    lease: &str,
    is_it: impl Fn(&T) -> bool,
) -> Option<&'a T> {
    let items = items.get_mut(lease)?;
    let at = items.iter().position(|item| is_it(item))?;
    Some(items.remove(at))
}

impl Verdict {
    pub(super) fn of(request: &ExchangeRequest, problem: &Problem) -> Option<Self> {
        let field = problem.field.as_deref()?;
        let index = |list: &str| field.strip_prefix(list)?.split_once(']')?.0.parse::<usize>().ok();
        index("results[")
            .filter(|at| *at < request.results.len())
            .map(Self::Result)
            .or_else(|| index("steps[").filter(|at| *at < request.steps.len()).map(Self::Step))
            .or_else(|| index("logs[").filter(|at| *at < request.logs.len()).map(Self::Log))
            .or_else(|| index("charges[").filter(|at| *at < request.charges.len()).map(Self::Charge))
            .or_else(|| index("holds[").filter(|at| *at < request.holds.len()).map(Self::Hold))
    }
}

/// Lines are for people: those that the server does not keep are lost.
fn judge_log(log: &ExchangeLog, answer: &Answer, again: &mut Content) {
    let Answer::Refused(problem) = answer else { return };
    if problem.code.class() == Class::Permanent {
        debug!(code = %problem.code, lines = log.lines.len(), "lines of a log are not kept");
    } else {
        again.logs.push(log.clone());
    }
}

/// The end of an attempt whose own end the server will not take.
pub(super) fn rejected(problem: &Problem) -> Outcome {
    let error = stint_api::Failure::new("result_rejected", problem.to_string());
    Outcome::Fail(FailRequest { retry: Some(false), ..FailRequest::new(error) })
}

impl Exchanger {
    /// Goes through the answers to an exchange that was sent at `sent_at`.
    pub(super) fn judge(
        &mut self,
        request: &ExchangeRequest,
        answers: Vec<ExchangeAnswer>,
        sent_at: Instant,
    ) {
        let mut open = Open::default();
        for result in &request.results {
            open.results.insert(&result.lease, result);
        }
        for step in &request.steps {
            open.steps.entry(&step.lease).or_default().push(step);
        }
        for log in &request.logs {
            open.logs.insert(&log.lease, log);
        }
        for charge in &request.charges {
            open.charges.entry(&charge.lease).or_default().push(charge);
        }
        for hold in &request.holds {
            open.holds.entry(&hold.lease).or_default().push(hold);
        }
        let mut again = Content::default();
        for answer in answers {
            if let Some(id) = &answer.charge_id {
                if let Some(charge) = take(&mut open.charges, &answer.lease, |of| of.charge_id == *id) {
                    self.judge_charge(charge, answer.answer, &mut again);
                }
                continue;
            }
            if let Some(id) = &answer.hold {
                if let Some(hold) = take(&mut open.holds, &answer.lease, |of| of.id == *id) {
                    self.judge_hold(hold, answer.answer, &mut again);
                }
                continue;
            }
            match &answer.key {
                None if answer.logs => {
                    if let Some(log) = open.logs.remove(answer.lease.as_str()) {
                        judge_log(log, &answer.answer, &mut again);
                    }
                }
                None => match open.results.remove(answer.lease.as_str()) {
                    Some(result) => self.judge_result(result, answer.answer, &mut again),
                    None => self.judge_lease(&answer),
                },
                Some(key) => {
                    if let Some(step) = take(&mut open.steps, &answer.lease, |of| of.key == *key) {
                        self.judge_step(step, answer.answer, &mut again);
                    }
                }
            }
        }
        // What is not answered was not heard.
        again.results.extend(open.results.into_values().cloned());
        open.steps.retain(|lease, _| self.held.contains_key(*lease));
        again.steps.extend(open.steps.into_values().flatten().cloned());
        open.logs.retain(|lease, _| self.held.contains_key(*lease));
        again.logs.extend(open.logs.into_values().cloned());
        again.charges.extend(open.charges.into_values().flatten().cloned());
        open.holds.retain(|lease, _| self.held.contains_key(*lease));
        again.holds.extend(open.holds.into_values().flatten().cloned());
        if !again.is_empty() {
            self.outbox.put_back(again);
            self.pace.back_off(None);
        }
        for listed in &request.leases {
            if let Some(held) = self.held.get_mut(listed.lease.as_str()) {
                held.renewed(sent_at);
            }
        }
    }

    fn judge_result(&mut self, result: &ExchangeResult, answer: Answer, again: &mut Content) {
        match answer {
            Answer::Refused(problem) if problem.code.class() != Class::Permanent => {
                again.results.push(result.clone());
            }
            Answer::Refused(problem) => {
                let is_ours = matches!(result.outcome, Outcome::Release(_));
                if problem.code == Code::PayloadTooLarge || problem.code == Code::InvalidField {
                    self.outbox.push_result(&result.lease, rejected(&problem));
                    return;
                }
                // It may have been told to stop by nobody who still knows of it: then it is simply not run on.
                if matches!(result.outcome, Outcome::Suspended(_)) && problem.code != Code::LeaseLost {
                    self.outbox.push_result(&result.lease, Outcome::Release(ReleaseRequest::default()));
                    return;
                }
                if !is_ours {
                    warn!(code = %problem.code, "a result was refused: the attempt is no longer this worker's");
                }
                self.drop_lease(&result.lease);
            }
            Answer::Done(_)
            | Answer::Step(_)
            | Answer::Logged(_)
            | Answer::Charged(_)
            | Answer::Extended(_) => self.drop_lease(&result.lease),
        }
    }

    /// A listed lease is only mentioned when it is refused.
    fn judge_lease(&mut self, answer: &ExchangeAnswer) {
        let Answer::Refused(problem) = &answer.answer else { return };
        if problem.code.class() == Class::Permanent {
            debug!(code = %problem.code, "a lease is gone");
            self.drop_lease(&answer.lease);
        }
    }

    fn judge_step(&mut self, step: &ExchangeStep, answer: Answer, again: &mut Content) {
        match answer {
            Answer::Step(reply) => self.answer_step(&step.lease, &step.key, &Ok(reply)),
            Answer::Done(_) | Answer::Logged(_) | Answer::Charged(_) | Answer::Extended(_) => {}
            Answer::Refused(problem) if problem.code.class() != Class::Permanent => {
                again.steps.push(step.clone())
            }
            Answer::Refused(problem) => {
                self.refuse_step(&step.lease, &step.key, step.output.is_some(), problem);
            }
        }
    }

    fn judge_charge(&mut self, charge: &ExchangeCharge, answer: Answer, again: &mut Content) {
        match answer {
            Answer::Charged(reply) => self.answer_charge(charge, &Ok(reply)),
            Answer::Refused(problem) if problem.code.class() == Class::Permanent => {
                self.answer_charge(charge, &Err(problem));
            }
            _ => again.charges.push(charge.clone()),
        }
    }

    fn judge_hold(&mut self, hold: &ExchangeHold, answer: Answer, again: &mut Content) {
        match answer {
            Answer::Extended(reply) => self.answer_hold(hold, Ok(reply)),
            Answer::Refused(problem) if problem.code == Code::LeaseLost => self.drop_lease(&hold.lease),
            Answer::Refused(problem) if problem.code.class() == Class::Permanent => {
                self.answer_hold(hold, Err(problem));
            }
            _ => again.holds.push(hold.clone()),
        }
    }

    /// What was spent is recorded, or can't be for good.
    pub(super) fn answer_charge(&mut self, charge: &ExchangeCharge, reply: &Result<ChargeReply, Problem>) {
        if let Err(problem) = reply {
            let ExchangeCharge { charge_id, amounts, usage, .. } = charge;
            error!(%problem, charge_id, ?amounts, ?usage, "a charge is refused for good");
        }
        let key = (charge.lease.clone(), charge.charge_id.clone());
        for answer in self.charging.remove(&key).into_iter().flatten() {
            // A handler that no longer waits needs no answer.
            let _ = answer.send(reply.clone());
        }
    }

    /// More is held, or is not.
    pub(super) fn answer_hold(&mut self, hold: &ExchangeHold, reply: Result<ExtendReply, Problem>) {
        let asked = self.held.get_mut(hold.lease.as_str()).and_then(|held| held.asked_more.remove(&hold.id));
        if let Some(answer) = asked {
            // A handler that no longer waits needs no answer.
            let _ = answer.send(reply);
        }
    }

    /// The journal does not take this step: a handler that asked is told, one that has run it can't go on.
    pub(super) fn refuse_step(&mut self, lease: &str, key: &str, was_run: bool, problem: Problem) {
        if problem.code == Code::LeaseLost {
            self.drop_lease(lease);
            return;
        }
        if !was_run {
            self.answer_step(lease, key, &Err(problem));
            return;
        }
        warn!(%problem, key, "a step's result was refused");
        self.outbox.forget(lease);
        if let Some(held) = self.held.get_mut(lease) {
            held.stop_handler();
            let kind = problem.code.as_str();
            let error = stint_api::Failure::new(kind, format!("step `{key}`: {problem}"));
            let is_final = matches!(problem.code, Code::PayloadTooLarge | Code::InvalidField);
            let retry = is_final.then_some(false);
            let outcome = Outcome::Fail(FailRequest { retry, ..FailRequest::new(error) });
            self.outbox.push_result(lease, outcome);
        }
    }

    fn answer_step(&mut self, lease: &str, key: &str, reply: &Result<StepReply, Problem>) {
        let Some(held) = self.held.get_mut(lease) else { return };
        for answer in held.asked.remove(key).into_iter().flatten() {
            // A handler that no longer waits needs no answer.
            let _ = answer.send(reply.clone());
        }
    }
}
