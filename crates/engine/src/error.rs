//! Why a call or an opening failed.

use stint_core::Refusal;
use stint_store::StoreError;

/// Why a command has no outcome.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The rules refused it.
    #[error(transparent)]
    Refused(Refusal),
    /// Too much waits in its partition already; only new work is refused so.
    #[error("too many commands wait; try again later")]
    Overloaded,
    /// There is no room for it.
    #[error("the store has no room left")]
    DiskFull,
    /// The store, or this partition of it, can't be used.
    #[error("store unavailable: {0}")]
    Store(String),
    /// A defect of ours: the command was undone.
    #[error("internal error; the command was undone")]
    Internal,
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Draining,
}

/// Why an engine does not open its store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another node serves it.
    #[error(
        "node {node} serves this store (its last heartbeat is {age_ms} ms old); stop it, or wait until it is gone"
    )]
    InUse {
        /// Its name.
        node: String,
        /// Age of its last heartbeat.
        age_ms: i64,
    },
    /// A restore into it was not completed.
    #[error(
        "a restore into this store was not completed; start the same `stint store restore` again, it goes on"
    )]
    Unfinished,
    /// It does not answer, or can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of the store as a whole can't be read.
    #[error("a record of the store can't be read: {0}")]
    Corrupt(String),
}

impl OpenError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "store_in_use",
            Self::Unfinished => "store_restore_unfinished",
            Self::Store(_) => "store_unavailable",
            Self::Corrupt(_) => "store_corrupt",
        }
    }
}
