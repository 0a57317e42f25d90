//! What a call of the SDK can end with.

use std::time::Duration;

use stint_api::{ExecutionState, Failure, Problem};

use crate::transport::SendError;

/// A call that did not do what was asked, or of which it is not known.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server said no. The problem has a stable code, the field to blame and what to do.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// No usable answer within the client's deadline, although it was sent again and again. It may have been
    /// done.
    #[error("no answer within {} ms, the last try said: {last}. It may have been done", deadline.as_millis())]
    NoAnswer {
        /// How long was tried.
        deadline: Duration,
        /// What the last try said.
        last: SendError,
    },
    /// The server's answer can't be read: client and server do not fit together.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
    /// An input or output is not what its type says.
    #[error("{what} does not fit its type: {reason}")]
    Payload {
        /// Which one.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The execution ended without an output.
    #[error("the execution ended as {state}{}", failure.as_ref().map(|f| format!(": {}: {}", f.kind, f.message)).unwrap_or_default())]
    Ended {
        /// How it ended.
        state: ExecutionState,
        /// Why.
        failure: Option<Failure>,
    },
    /// The execution has not ended yet.
    #[error("the execution has not ended, it is {0}")]
    NotEnded(ExecutionState),
    /// Client or worker were built from settings that make no sense.
    #[error("{0}")]
    Configuration(String),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(problem) => problem.code.as_str(),
            Self::NoAnswer { .. } => "no_answer",
            Self::Protocol(_) => "protocol",
            Self::Payload { .. } => "payload_mismatch",
            Self::Ended { .. } => "execution_ended",
            Self::NotEnded(_) => "execution_not_ended",
            Self::Configuration(_) => "configuration",
        }
    }
}
