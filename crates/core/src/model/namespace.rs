//! Settings of a namespace.

use minicbor::{Decode, Encode};

use crate::Millis;

/// What holds for a namespace's work unless a submission says otherwise. The one at its home is the truth; every
/// partition decides from its own copy.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct NamespaceSettings {
    /// Counts changes at the home; a copy with a lower one is older.
    #[n(0)]
    pub generation: u64,
    /// Executions are kept this long after their end; `None` is [`RETENTION_MS`](super::RETENTION_MS).
    #[n(1)]
    pub retention_ms: Option<Millis>,
    /// Entries of ledgers are kept at least this long; `None` is [`LEDGER_RETENTION_MS`](super::LEDGER_RETENTION_MS).
    #[n(2)]
    pub ledger_retention_ms: Option<Millis>,
}
