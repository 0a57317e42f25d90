//! Actions on many executions, between the API and core.

use stint_api::{
    BulkAction as ApiAction, BulkError, BulkJob, BulkRequest, BulkState as ApiState, Code, ExecutionFilter,
    ExecutionState, Instant, Problem,
};
use stint_core::BulkId;
use stint_core::find::{Filter, StateFilter};
use stint_core::model::{self, BulkAction, BulkState};

use super::submission::millis;
use super::view;

/// Reads a job's id.
pub(crate) fn id(text: &str) -> Result<BulkId, Problem> {
    text.parse().map_err(|malformed: stint_core::ids::Malformed| {
        Problem::new(Code::MalformedId, malformed.to_string()).at("job")
    })
}

/// What a checked request wants done.
pub(crate) fn action(request: &BulkRequest) -> Result<BulkAction, Problem> {
    Ok(match request.action {
        ApiAction::Cancel => {
            BulkAction::Cancel { reason: request.reason.clone(), grace_ms: request.grace_ms.map(millis) }
        }
        ApiAction::Replay => BulkAction::Replay { from_step: request.from_step.clone() },
        ApiAction::Priority => {
            let priority = request.priority.and_then(|priority| i8::try_from(priority).ok());
            BulkAction::Priority(
                priority.ok_or_else(|| Problem::invalid("priority", "expected -100 to 100"))?,
            )
        }
        ApiAction::Pause => BulkAction::Pause,
        ApiAction::Resume => BulkAction::Resume,
        ApiAction::Revoke => BulkAction::Revoke,
        ApiAction::Tag => {
            BulkAction::Tag(request.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        other => {
            return Err(Problem::new(Code::NotAvailable, format!("no action {} here", other.as_str())));
        }
    })
}

/// A job as the API shows it.
pub(crate) fn view(job: model::BulkJob) -> BulkJob {
    let tally = job.tally;
    let (mut reason, mut from_step, mut priority, mut tags) = (None, None, None, Vec::new());
    let action = match job.action {
        BulkAction::Cancel { reason: given, .. } => {
            reason = given;
            ApiAction::Cancel
        }
        BulkAction::Replay { from_step: given } => {
            from_step = given;
            ApiAction::Replay
        }
        BulkAction::Priority(given) => {
            priority = Some(i32::from(given));
            ApiAction::Priority
        }
        BulkAction::Pause => ApiAction::Pause,
        BulkAction::Resume => ApiAction::Resume,
        BulkAction::Revoke => ApiAction::Revoke,
        BulkAction::Tag(given) => {
            tags = given;
            ApiAction::Tag
        }
    };
    let errors = job.errors.into_iter().map(|error| BulkError {
        id: error.id().to_string(),
        code: error.code,
        detail: error.detail,
    });
    BulkJob {
        job: job.id.to_string(),
        namespace: job.filter.namespace.to_string(),
        action,
        filter: shown(job.filter),
        reason,
        from_step,
        priority,
        tags: tags.into_iter().collect(),
        state: match job.state {
            BulkState::Running => ApiState::Running,
            BulkState::Done => ApiState::Done,
            BulkState::Stopped => ApiState::Stopped,
        },
        matched: job.matched,
        at_least: job.at_least,
        processed: tally.changed + tally.skipped + tally.failed,
        changed: tally.changed,
        skipped: tally.skipped,
        failed: tally.failed,
        started_at: Instant::from_millis(job.started_at),
        ended_at: job.ended_at.map(Instant::from_millis),
        errors: errors.collect(),
    }
}

fn shown(filter: Filter) -> ExecutionFilter {
    ExecutionFilter {
        state: filter.state.map(|wanted| match wanted {
            StateFilter::Is(is) => view::seen_state(is, false),
            StateFilter::Blocked => ExecutionState::Blocked,
            StateFilter::Never => ExecutionState::Suspended,
        }),
        lane: filter.lane.map(|lane| lane.to_string()),
        kind: filter.kind.map(|kind| kind.to_string()),
        tags: filter.tags.into_iter().collect(),
        error_type: filter.error_type,
        since: filter.since.map(Instant::from_millis),
        until: filter.until.map(Instant::from_millis),
    }
}
