//! Actions on many executions: what is done to which, and how far it has come.

use minicbor::{Decode, Encode};

use crate::Millis;
use crate::find::{Filter, Only, StateFilter};
use crate::ids::{BulkId, ExecutionId};

/// Errors that a job keeps; it counts the others.
pub const BULK_ERRORS_MAX: usize = 20;

/// Jobs that a partition keeps: with one more the oldest that has ended is forgotten.
pub const BULK_JOBS_MAX: usize = 100;

/// What is done to each execution.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum BulkAction {
    /// Stop it.
    #[n(0)]
    Cancel {
        /// Why, for workers and people.
        #[n(0)]
        reason: Option<String>,
        /// How long running code may take.
        #[n(1)]
        grace_ms: Option<Millis>,
    },
    /// Run it again.
    #[n(1)]
    Replay {
        /// The journal is dropped from here on.
        #[n(0)]
        from_step: Option<String>,
    },
    /// Change its priority.
    #[n(2)]
    Priority(#[n(0)] i8),
    /// Hold it back.
    #[n(3)]
    Pause,
    /// The opposite.
    #[n(4)]
    Resume,
    /// Take its lease.
    #[n(5)]
    Revoke,
    /// Add tags, or give them new values.
    #[n(6)]
    Tag(#[n(0)] Vec<(String, String)>),
}

/// Whether it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum BulkState {
    /// There may be more.
    #[n(0)]
    Running,
    /// All that were wanted have been looked at.
    #[n(1)]
    Done,
    /// Somebody stopped it.
    #[n(2)]
    Stopped,
}

/// How many executions were dealt with, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct BulkTally {
    /// They are as the action wants them because of it.
    #[n(0)]
    pub changed: u64,
    /// Their state did not allow it any more, or they are gone.
    #[n(1)]
    pub skipped: u64,
    /// It was refused.
    #[n(2)]
    pub failed: u64,
}

/// One that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct BulkError {
    /// The execution.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub execution: [u8; 16],
    /// The stable code.
    #[n(1)]
    pub code: String,
    /// What was wrong.
    #[n(2)]
    pub detail: String,
}

/// An action on all executions that a filter wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BulkJob {
    /// Its id.
    pub id: BulkId,
    /// What is done.
    pub action: BulkAction,
    /// To which: as they were found from its start on, none that was submitted or ended later.
    pub filter: Filter,
    /// When it was asked for.
    pub started_at: Millis,
    /// Whether it goes on.
    pub state: BulkState,
    /// When it was over.
    pub ended_at: Option<Millis>,
    /// Executions that were counted at its start.
    pub matched: u64,
    /// There may have been more.
    pub at_least: bool,
    /// Where the next page begins; opaque here.
    pub cursor: Option<String>,
    /// What became of them so far.
    pub tally: BulkTally,
    /// The first that were refused.
    pub errors: Vec<BulkError>,
}

impl BulkAction {
    /// The half of all executions that it can do something to.
    pub fn only(&self) -> Option<Only> {
        match self {
            Self::Replay { .. } => Some(Only::Ended),
            Self::Tag(_) => None,
            _ => Some(Only::Open),
        }
    }
}

impl BulkError {
    /// The execution.
    pub fn id(&self) -> ExecutionId {
        ExecutionId(self.execution)
    }
}

/// A job on disk.
#[derive(Encode, Decode)]
#[cbor(map)]
struct BulkRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    action: BulkAction,
    #[n(2)]
    namespace: String,
    #[n(3)]
    filter_state: Option<StateFilter>,
    #[n(4)]
    lane: Option<String>,
    #[n(5)]
    kind: Option<String>,
    #[n(6)]
    tags: Option<Vec<(String, String)>>,
    #[n(7)]
    error_type: Option<String>,
    #[n(8)]
    since: Option<Millis>,
    #[n(9)]
    until: Option<Millis>,
    #[n(10)]
    only: Option<Only>,
    #[n(11)]
    started_at: Millis,
    #[n(12)]
    state: BulkState,
    #[n(13)]
    ended_at: Option<Millis>,
    #[n(14)]
    matched: u64,
    #[n(15)]
    at_least: bool,
    #[n(16)]
    cursor: Option<String>,
    #[n(17)]
    tally: BulkTally,
    #[n(18)]
    errors: Option<Vec<BulkError>>,
}

impl<C> Encode<C> for BulkJob {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().map(str::to_owned);
        let row = BulkRow {
            id: self.id.0,
            action: self.action.clone(),
            namespace: self.filter.namespace.to_string(),
            filter_state: self.filter.state,
            lane: text(&self.filter.lane),
            kind: text(&self.filter.kind),
            tags: (!self.filter.tags.is_empty()).then(|| self.filter.tags.clone()),
            error_type: self.filter.error_type.clone(),
            since: self.filter.since,
            until: self.filter.until,
            only: self.filter.only,
            started_at: self.started_at,
            state: self.state,
            ended_at: self.ended_at,
            matched: self.matched,
            at_least: self.at_least,
            cursor: self.cursor.clone(),
            tally: self.tally,
            errors: (!self.errors.is_empty()).then(|| self.errors.clone()),
        };
        row.encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for BulkJob {
    fn decode(decoder: &mut minicbor::Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let row = BulkRow::decode(decoder, context)?;
        Ok(Self {
            id: BulkId(row.id),
            action: row.action,
            filter: Filter {
                namespace: row.namespace.into(),
                state: row.filter_state,
                lane: row.lane.map(Into::into),
                kind: row.kind.map(Into::into),
                tags: row.tags.unwrap_or_default(),
                error_type: row.error_type,
                since: row.since,
                until: row.until,
                only: row.only,
            },
            started_at: row.started_at,
            state: row.state,
            ended_at: row.ended_at,
            matched: row.matched,
            at_least: row.at_least,
            cursor: row.cursor,
            tally: row.tally,
            errors: row.errors.unwrap_or_default(),
        })
    }
}
