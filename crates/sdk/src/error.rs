//! What a call of the SDK can end with.

use std::borrow::Cow;
use std::time::Duration;

use stint_api::{ExecutionState, Failure, HoldReply, Problem};

use crate::transport::SendError;

/// A call that did not do what was asked, or of which it is not known.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server said no. The problem has a stable code, the field to blame and what to do.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// No usable answer within the client's deadline, although it was sent again and again.
    #[error("no answer within {} ms, the last try said: {last}{}", deadline.as_millis(), if *may_be_done { ". It may have been done" } else { "" })]
    NoAnswer {
        /// How long was tried.
        deadline: Duration,
        /// Whether what was asked may have been done all the same: a server may have taken it.
        may_be_done: bool,
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
    /// The hold that stands under this id has ended, or is in doubt: nothing is set aside for what is to be spent now. Of what
    /// it was for, more can be charged: see [`Client::hold`](crate::Client::hold).
    #[error("the hold {} {}: under its id nothing more is set aside", .0.hold, if .0.ended { "has ended" } else { "is in doubt" })]
    HoldOver(HoldReply),
    /// The store of an embedded engine can't be opened.
    #[error("the store can't be opened: {reason}")]
    Store {
        /// The stable code of what is wrong with it.
        code: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A copy of a store broke off or arrived damaged.
    #[error("the copy is no backup: {reason}")]
    Backup {
        /// The stable code of what is wrong with it.
        code: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Client or worker were built from settings that make no sense.
    #[error("{0}")]
    Configuration(String),
}

impl Error {
    /// The stable code: one of the server's, each with a page in docs/errors/, or one of the client's own:
    /// `no_answer`, `protocol`, `payload_mismatch`, `execution_ended`, `execution_not_ended`, `hold_over`,
    /// `configuration`.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let error = client.submit(Submission::new("mail").priority(1_000)).await.unwrap_err();
    /// assert_eq!(error.code(), "invalid_field");
    /// println!("{error}: {}", error.remedy());
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(problem) => problem.code.as_str(),
            Self::NoAnswer { .. } => "no_answer",
            Self::Protocol(_) => "protocol",
            Self::Payload { .. } => "payload_mismatch",
            Self::Ended { .. } => "execution_ended",
            Self::NotEnded(_) => "execution_not_ended",
            Self::HoldOver(_) => "hold_over",
            Self::Store { code, .. } | Self::Backup { code, .. } => code,
            Self::Configuration(_) => "configuration",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Refused(problem) => match &problem.remedy {
                Some(remedy) => remedy,
                None => problem.code.remedy(),
            },
            Self::NoAnswer { may_be_done: true, .. } => {
                "Look whether a server runs at the client's addresses. What was asked may have been done: ask for it."
            }
            Self::NoAnswer { .. } => "Look whether a server runs at the client's addresses.",
            Self::Protocol(_) => "Use a client and a server of the same version.",
            Self::Payload { .. } => "Use the same type where it is written and where it is read.",
            Self::Ended { .. } => "Look at the execution's attempts; replay it when the cause is gone.",
            Self::NotEnded(_) => "Wait longer, or ask why it waits.",
            Self::HoldOver(_) => "Ask for a hold under another id before more is spent.",
            Self::Store { .. } => "Look at the store's folder: another process, the disk, or the format.",
            Self::Backup { .. } => "Make the copy again.",
            Self::Configuration(_) => "Correct the setting that is named.",
        })
    }
}
