//! How the process ends.

use std::process::ExitCode;

use stint::api::ExecutionState;

/// A command's end, if it is not success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// Something was checked and is not as it should be.
    #[error("{0}")]
    Difference(String),
    /// The arguments or the configuration make no sense.
    #[error("{0}")]
    Usage(String),
    /// The server said no to at least one of several things.
    #[error("{0}")]
    Refused(String),
    /// What answers is none of this version.
    #[error("{0}")]
    OtherVersion(String),
    /// The store can't be opened or has failed.
    #[error("{code}: {reason}")]
    Store {
        /// Its stable code.
        code: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An execution has no output, or none yet.
    #[error("{text}")]
    Unfinished {
        /// Where it stands.
        state: ExecutionState,
        /// The same for people.
        text: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read standard output has gone, as `head` does.
    #[error("the reader of the output has gone")]
    OutputClosed,
}

/// Exit code of a failed store; also used where the process has to end at once.
pub(crate) const STORE: u8 = 5;

/// Says on standard error why, and gives the exit code that means it.
pub(crate) fn code(ended: anyhow::Result<()>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    let failed = error.downcast_ref::<Failed>();
    if !matches!(failed, Some(Failed::OutputClosed)) {
        eprintln!("stint: {error:#}");
    }
    ExitCode::from(match failed {
        Some(failed) => failed.code(),
        None => match error.downcast_ref::<stint::Error>() {
            Some(stint::Error::Configuration(_)) => 2,
            Some(stint::Error::Refused(_) | stint::Error::HoldOver(_)) => 3,
            Some(stint::Error::Backup { .. } | stint::Error::Store { .. }) => STORE,
            Some(stint::Error::NoAnswer { .. } | stint::Error::Protocol(_)) => 4,
            _ => 1,
        },
    })
}

impl Failed {
    fn code(&self) -> u8 {
        match self {
            Self::Difference(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::OtherVersion(_) => 4,
            Self::Store { .. } => STORE,
            Self::Unfinished { state, .. } => match state {
                ExecutionState::Cancelled | ExecutionState::Skipped => 6,
                ExecutionState::Expired => 7,
                state if state.is_terminal() => 1,
                _ => 8,
            },
            Self::Interrupted => 130,
            Self::OutputClosed => 141,
        }
    }
}
