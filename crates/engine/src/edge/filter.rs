//! Filters of the API as core's.

use stint_api::{ExecutionFilter, ExecutionState};
use stint_core::find::{Filter, StateFilter};
use stint_core::model::State;

/// What a checked filter wants of a namespace.
pub(crate) fn wanted(namespace: &str, filter: ExecutionFilter) -> Filter {
    Filter {
        namespace: namespace.into(),
        state: filter.state.map(state),
        lane: filter.lane.map(Into::into),
        kind: filter.kind.map(Into::into),
        tags: filter.tags.into_iter().collect(),
        error_type: filter.error_type,
        since: filter.since.map(|at| at.millis()),
        until: filter.until.map(|at| at.millis()),
        only: None,
    }
}

fn state(state: ExecutionState) -> StateFilter {
    match state {
        ExecutionState::Scheduled => StateFilter::Is(State::Scheduled),
        ExecutionState::Blocked => StateFilter::Blocked,
        ExecutionState::Ready => StateFilter::Is(State::Ready),
        ExecutionState::Running => StateFilter::Is(State::Running),
        ExecutionState::Suspended => StateFilter::Is(State::Suspended),
        ExecutionState::Completed => StateFilter::Is(State::Completed),
        ExecutionState::Failed => StateFilter::Is(State::Failed),
        ExecutionState::Cancelled => StateFilter::Is(State::Cancelled),
        ExecutionState::Expired => StateFilter::Is(State::Expired),
        // Nothing skips an execution yet, and what is trimmed is gone.
        _ => StateFilter::Never,
    }
}
