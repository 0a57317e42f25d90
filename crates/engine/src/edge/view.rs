//! Executions and results as the API shows them.

use stint_api::{
    AttemptOutcome, AttemptView, Execution, ExecutionState, ExecutionSummary, Failure, Instant, Progress,
    ResultReply,
};
use stint_core::command::Shown;
use stint_core::find::Summary;
use stint_core::model::{self, ErrorInfo, State};

use super::{budget, payload};

/// A state's name in the API.
pub(crate) fn state(state: State) -> ExecutionState {
    match state {
        State::Scheduled => ExecutionState::Scheduled,
        State::Ready => ExecutionState::Ready,
        State::Running => ExecutionState::Running,
        State::Completed => ExecutionState::Completed,
        State::Failed => ExecutionState::Failed,
        State::Cancelled => ExecutionState::Cancelled,
        State::Expired => ExecutionState::Expired,
        State::Suspended => ExecutionState::Suspended,
    }
}

/// A state as it is seen through pauses: `blocked` is not stored.
pub(crate) fn seen_state(stored: State, blocked: bool) -> ExecutionState {
    if blocked { ExecutionState::Blocked } else { state(stored) }
}

/// An error as the API carries it.
pub(crate) fn failure(error: &ErrorInfo) -> Failure {
    let details = error.details.clone().map(serde_json::value::RawValue::from_string);
    Failure {
        kind: error.error_type.clone(),
        message: error.message.clone(),
        // They came in as JSON.
        details: details.and_then(Result::ok),
    }
}

/// An error as core keeps it.
pub(crate) fn error_info(failure: Failure) -> ErrorInfo {
    ErrorInfo {
        error_type: failure.kind,
        message: failure.message,
        details: failure.details.map(|json| json.get().to_owned()),
    }
}

/// Progress as the API carries it.
pub(crate) fn progress(progress: &model::Progress) -> Progress {
    Progress { percent: progress.percent, message: progress.message.clone() }
}

/// Progress as core keeps it.
pub(crate) fn kept_progress(progress: Progress) -> model::Progress {
    model::Progress { percent: progress.percent, message: progress.message }
}

/// Everything about an execution but its input and output.
pub(crate) fn execution(shown: Shown) -> Execution {
    let Shown { execution, spec, attempts, blocked_by, .. } = shown;
    let mut views: Vec<AttemptView> = attempts.iter().map(earlier).collect();
    views.extend(last(&execution));
    let end = execution.end.as_deref();
    let reason = match execution.state() {
        State::Cancelled => end.and_then(|end| end.error.as_ref()).map(|error| error.message.clone()),
        State::Running => execution.stop.as_deref().and_then(|stop| stop.message.clone()),
        _ => blocked_by.map(str::to_owned),
    };
    Execution {
        id: execution.id.to_string(),
        namespace: execution.group.namespace.to_string(),
        kind: execution.group.kind.to_string(),
        lane: execution.group.lane.to_string(),
        state: seen_state(execution.state(), blocked_by.is_some()),
        reason,
        priority: i32::from(execution.priority),
        tags: spec.tags.unwrap_or_default().into_iter().collect(),
        requires: execution.group.requires.iter().map(|requirement| requirement.text().to_owned()).collect(),
        fairness_key: execution.fair.as_deref().map(|fair| fair.key.to_string()),
        idempotency_key: spec.key_text,
        attempts: views,
        crashes: execution.crashes,
        epoch: u64::from(execution.epoch),
        submitted_at: Instant::from_millis(execution.submitted_at),
        run_at: (execution.state() == State::Scheduled).then(|| Instant::from_millis(execution.due_at)),
        deadline: execution.deadline().map(Instant::from_millis),
        ended_at: end.map(|end| Instant::from_millis(end.at)),
        error: end.and_then(|end| end.error.as_ref()).map(failure),
        progress: execution.lease.as_deref().and_then(|lease| lease.progress.as_ref()).map(progress),
        traceparent: spec.traceparent,
        budgets: execution.policy.budgets.iter().map(budget::named).collect(),
        spent: execution.spending.as_deref().map(|s| budget::amounts(&s.spent)).unwrap_or_default(),
    }
}

/// An execution as lists show it.
pub(crate) fn summary(summary: Summary) -> ExecutionSummary {
    let error = summary.error.as_ref();
    let reason = match summary.state {
        State::Cancelled => error.map(|error| error.message.clone()),
        State::Running => summary.stop,
        _ => summary.blocked_by.map(str::to_owned),
    };
    ExecutionSummary {
        id: summary.id.to_string(),
        namespace: summary.group.namespace.to_string(),
        kind: summary.group.kind.to_string(),
        lane: summary.group.lane.to_string(),
        state: seen_state(summary.state, summary.blocked_by.is_some()),
        reason,
        priority: i32::from(summary.priority),
        tags: summary.tags.into_iter().collect(),
        attempt: summary.attempt,
        worker: summary.worker.map(|name| name.to_string()),
        crashes: summary.crashes,
        submitted_at: Instant::from_millis(summary.submitted_at),
        run_at: summary.due_at.map(Instant::from_millis),
        started_at: summary.started_at.map(Instant::from_millis),
        ended_at: summary.ended_at.map(Instant::from_millis),
        error: error.map(failure),
        progress: summary.progress.as_ref().map(progress),
    }
}

/// What an execution gave, if it has ended.
pub(crate) fn result(shown: &Shown) -> ResultReply {
    let end = shown.execution.end.as_deref();
    let completed = shown.execution.state() == State::Completed;
    ResultReply {
        state: seen_state(shown.execution.state(), shown.blocked_by.is_some()),
        output: end
            .filter(|_| completed)
            .and_then(|end| end.output.as_ref())
            .map(|output| payload::stored(output, shown.output.clone())),
        error: end.and_then(|end| end.error.as_ref()).map(failure),
    }
}

fn earlier(attempt: &model::Attempt) -> AttemptView {
    AttemptView {
        attempt: attempt.attempt,
        worker: attempt.worker.clone(),
        started_at: Instant::from_millis(attempt.started_at),
        ended_at: Some(Instant::from_millis(attempt.ended_at)),
        outcome: Some(outcome(attempt.outcome)),
        error: attempt.error.as_ref().map(failure),
        progress: attempt.progress.as_ref().map(progress),
        spent: attempt.spent.as_ref().map(budget::amounts).unwrap_or_default(),
    }
}

/// The attempt under way, or the one that ended the execution.
fn last(execution: &model::Execution) -> Option<AttemptView> {
    let lease = execution.lease.as_deref()?;
    let end = execution.end.as_deref();
    let ended = end.and_then(|end| end.outcome);
    Some(AttemptView {
        attempt: execution.attempt,
        worker: lease.worker.name.to_string(),
        started_at: Instant::from_millis(lease.granted_at),
        ended_at: end.map(|end| Instant::from_millis(end.at)),
        outcome: ended.map(outcome),
        error: end.and_then(|end| end.error.as_ref()).map(failure),
        progress: lease.progress.as_ref().map(progress),
        spent: execution.spending.as_deref().map(|s| budget::amounts(&s.attempt_spent)).unwrap_or_default(),
    })
}

fn outcome(outcome: model::AttemptOutcome) -> AttemptOutcome {
    match outcome {
        model::AttemptOutcome::Completed => AttemptOutcome::Completed,
        model::AttemptOutcome::Failed => AttemptOutcome::Failed,
        model::AttemptOutcome::Crashed => AttemptOutcome::Crashed,
        model::AttemptOutcome::TimedOut => AttemptOutcome::TimedOut,
        model::AttemptOutcome::Revoked => AttemptOutcome::Revoked,
        model::AttemptOutcome::Cancelled => AttemptOutcome::Cancelled,
        model::AttemptOutcome::Expired => AttemptOutcome::Expired,
    }
}
