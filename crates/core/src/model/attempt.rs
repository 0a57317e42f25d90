//! Attempts: who tried, when, and how it went.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::execution::Progress;
use crate::Millis;

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum AttemptOutcome {
    /// Its worker completed it.
    #[n(0)]
    Completed,
    /// Its worker said it failed.
    #[n(1)]
    Failed,
    /// Its lease expired.
    #[n(2)]
    Crashed,
    /// It ran longer than an attempt may.
    #[n(3)]
    TimedOut,
    /// An operator took its lease.
    #[n(4)]
    Revoked,
    /// It was asked to stop, and did or was stopped.
    #[n(5)]
    Cancelled,
    /// The execution's deadline passed.
    #[n(6)]
    Expired,
}

impl AttemptOutcome {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::TimedOut => "timed_out",
            Self::Revoked => "revoked",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// What went wrong, as the worker or the engine says it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ErrorInfo {
    /// Its type, which `non_retryable` names.
    #[n(0)]
    pub error_type: String,
    /// For people.
    #[n(1)]
    pub message: String,
    /// JSON text for programs.
    #[n(2)]
    pub details: Option<String>,
}

impl ErrorInfo {
    /// An error of the engine's own.
    pub fn own(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into(), details: None }
    }
}

/// An attempt that was not the last.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Attempt {
    /// Counted from 1.
    #[n(0)]
    pub attempt: u32,
    /// The worker's name.
    #[n(1)]
    pub worker: String,
    /// When its lease began.
    #[n(2)]
    pub started_at: Millis,
    /// When it ended.
    #[n(3)]
    pub ended_at: Millis,
    /// How.
    #[n(4)]
    pub outcome: AttemptOutcome,
    /// Why, unless it completed.
    #[n(5)]
    pub error: Option<ErrorInfo>,
    /// What its worker last said of its progress.
    #[n(6)]
    pub progress: Option<Progress>,
    /// What it has spent, if anything.
    #[n(7)]
    pub spent: Option<Amounts>,
}

impl Attempt {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}
