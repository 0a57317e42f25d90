//! Which executions, as flags.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use stint::api::{ExecutionFilter, ExecutionState, Instant};

use super::submission::pair;
use crate::clock;

/// Conditions that must all hold.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which executions")]
pub(crate) struct Filter {
    /// In this state.
    #[arg(long, value_parser = PossibleValuesParser::new(names()).try_map(|name| state(&name)))]
    state: Option<ExecutionState>,
    /// In this lane.
    #[arg(long)]
    lane: Option<String>,
    /// Of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// With this tag. May be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// Ended with an error of this type.
    #[arg(long, value_name = "TYPE")]
    error_type: Option<String>,
    /// Not before this: an instant, or how long ago (15m, 2h, 7d). It is the end of what has ended, else the submission.
    #[arg(long, value_name = "WHEN", value_parser = clock::instant)]
    since: Option<Instant>,
    /// Before this, likewise.
    #[arg(long, value_name = "WHEN", value_parser = clock::instant)]
    until: Option<Instant>,
}

/// States that something in a list can be in.
const STATES: [ExecutionState; 10] = [
    ExecutionState::Scheduled,
    ExecutionState::Blocked,
    ExecutionState::Ready,
    ExecutionState::Running,
    ExecutionState::Suspended,
    ExecutionState::Completed,
    ExecutionState::Failed,
    ExecutionState::Cancelled,
    ExecutionState::Expired,
    ExecutionState::Skipped,
];

impl Filter {
    /// Whether nothing is asked for: everything there is.
    pub(crate) fn is_empty(&self) -> bool {
        self.request() == ExecutionFilter::default()
    }

    /// As the API takes it.
    pub(crate) fn request(&self) -> ExecutionFilter {
        ExecutionFilter {
            state: self.state,
            lane: self.lane.clone(),
            kind: self.kind.clone(),
            tags: self.tags.iter().cloned().collect(),
            error_type: self.error_type.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

fn names() -> [&'static str; STATES.len()] {
    STATES.map(ExecutionState::as_str)
}

fn state(name: &str) -> Result<ExecutionState, String> {
    STATES.into_iter().find(|state| state.as_str() == name).ok_or_else(|| format!("`{name}` is no state"))
}
