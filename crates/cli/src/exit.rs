//! How the process ends.

use std::process::ExitCode;

/// A command's end, if it is not success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// Something was checked and is not as it should be.
    #[error("{0}")]
    Difference(String),
    /// The store can't be opened or has failed.
    #[error("{code}: {reason}")]
    Store {
        /// Its stable code.
        code: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

/// Exit code of a failed store; also used where the process has to end at once.
pub(crate) const STORE: u8 = 5;

/// Says on standard error why, and gives the exit code that means it.
pub(crate) fn code(ended: anyhow::Result<()>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    eprintln!("stint: {error:#}");
    if let Some(failed) = error.downcast_ref::<Failed>() {
        return ExitCode::from(match failed {
            Failed::Difference(_) => 1,
            Failed::Store { .. } => STORE,
            Failed::Interrupted => 130,
        });
    }
    ExitCode::from(match error.downcast_ref::<stint::Error>() {
        Some(stint::Error::Refused(_)) => 3,
        Some(stint::Error::NoAnswer { .. }) => 4,
        _ => 1,
    })
}
