//! Records as bytes: CBOR maps with numbered fields (RFC 8949, by minicbor), defaults omitted, so that newer builds read
//! what older ones wrote.

use std::borrow::Cow;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::budget::Budget;
use super::bulk::BulkJob;
use super::chain::{ChainFrom, ChainTo, Link};
use super::charge::TreeRecord;
use super::counters::Counters;
use super::estimate::Estimate;
use super::execution::{End, Execution, Fair, LastWord, Lease, Progress, State, Stop, Worker};
use super::group::{Group, Requirement};
use super::history::History;
use super::hold::{Ask, Hold};
use super::lane::{LaneHome, LaneSettings};
use super::log::LogSize;
use super::namespace::NamespaceSettings;
use super::policy::{DEFAULT_POLICY, Policy};
use super::price::PriceTable;
use super::rollup::LedgerMark;
use super::spending::Spending;
use crate::Millis;
use crate::ids::{ExecutionId, LeaseToken, RequestId};

/// A live record, as the projection holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// An open execution.
    Execution(Box<Execution>),
    /// This partition's copy of a lane's settings.
    Lane(Box<LaneSettings>),
    /// A lane's settings at their home.
    LaneHome(Box<LaneHome>),
    /// An action on many executions.
    Bulk(Box<BulkJob>),
    /// A message under way.
    Link(Box<Link>),
    /// The sender's end of a chain.
    ChainTo(ChainTo),
    /// The receiver's end of a chain.
    ChainFrom(ChainFrom),
    /// What may be spent under a path.
    Budget(Box<Budget>),
    /// What was.
    Counters(Box<Counters>),
    /// Money set aside.
    Hold(Box<Hold>),
    /// An execution that waits for money.
    Waiter(Box<Ask>),
    /// What attempts of a kind have cost.
    Estimate(Box<Estimate>),
    /// Where a tree's ledger stands.
    Tree(TreeRecord),
    /// How far a tree's ledger is rolled up and trimmed.
    LedgerMark(Box<LedgerMark>),
    /// A copy of the price table, or the table itself at its home.
    Prices(Box<PriceTable>),
    /// A copy of a namespace's settings, or the settings at their home.
    Namespace(NamespaceSettings),
}

/// An ended execution's bytes, and what they decode to.
pub struct ArchiveRecord;

impl ArchiveRecord {
    /// Encodes an ended execution.
    pub fn encode(execution: &Execution) -> Vec<u8> {
        encode_execution(execution)
    }

    /// Reads an ended execution.
    pub fn decode(id: ExecutionId, bytes: &[u8]) -> Result<Execution, minicbor::decode::Error> {
        decode_execution(id, bytes)
    }
}

impl Record {
    /// Reads the record under a live key.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, String> {
        let text = |e: minicbor::decode::Error| e.to_string();
        match key.split_first() {
            Some((b'x', id)) => {
                let id = id.try_into().map(ExecutionId).map_err(|_| "an id has 16 bytes".to_owned())?;
                decode_execution(id, value).map(|e| Self::Execution(Box::new(e))).map_err(text)
            }
            Some((b'l', _)) => minicbor::decode(value).map(|r| Self::Lane(Box::new(r))).map_err(text),
            Some((b'h', _)) => minicbor::decode(value).map(|r| Self::LaneHome(Box::new(r))).map_err(text),
            Some((b'b', _)) => minicbor::decode(value).map(|r| Self::Bulk(Box::new(r))).map_err(text),
            Some((b'o', _)) => minicbor::decode(value).map(|r| Self::Link(Box::new(r))).map_err(text),
            Some((b's', _)) => minicbor::decode(value).map(Self::ChainTo).map_err(text),
            Some((b'r', _)) => minicbor::decode(value).map(Self::ChainFrom).map_err(text),
            Some((b'd', _)) => minicbor::decode(value).map(|r| Self::Budget(Box::new(r))).map_err(text),
            Some((b'c', _)) => minicbor::decode(value).map(|r| Self::Counters(Box::new(r))).map_err(text),
            Some((b'k', _)) => minicbor::decode(value).map(|r| Self::Hold(Box::new(r))).map_err(text),
            Some((b'w', _)) => minicbor::decode(value).map(|r| Self::Waiter(Box::new(r))).map_err(text),
            Some((b'e', _)) => minicbor::decode(value).map(|r| Self::Estimate(Box::new(r))).map_err(text),
            Some((b't', _)) => minicbor::decode(value).map(Self::Tree).map_err(text),
            Some((b'u', _)) => minicbor::decode(value).map(|r| Self::LedgerMark(Box::new(r))).map_err(text),
            Some((b'p' | b'q', _)) => {
                minicbor::decode(value).map(|r| Self::Prices(Box::new(r))).map_err(text)
            }
            Some((b'n' | b'm', _)) => minicbor::decode(value).map(Self::Namespace).map_err(text),
            _ => Err("no record of this level has such a key".to_owned()),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Execution(execution) => encode_execution(execution),
            Self::Lane(settings) => to_vec(settings),
            Self::LaneHome(home) => to_vec(home),
            Self::Bulk(job) => to_vec(job),
            Self::Link(link) => to_vec(link),
            Self::ChainTo(chain) => to_vec(chain),
            Self::ChainFrom(chain) => to_vec(chain),
            Self::Budget(budget) => to_vec(budget),
            Self::Counters(counters) => to_vec(counters),
            Self::Hold(hold) => to_vec(hold),
            Self::Waiter(ask) => to_vec(ask),
            Self::Estimate(estimate) => to_vec(estimate),
            Self::Tree(tree) => to_vec(tree),
            Self::LedgerMark(mark) => to_vec(&**mark),
            Self::Prices(prices) => to_vec(prices),
            Self::Namespace(settings) => to_vec(settings),
        }
    }
}

/// Encodes any record of this crate.
pub(crate) fn to_vec<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    // Writing to a Vec can't fail.
    let _ = minicbor::encode(value, &mut out);
    out
}

/// Executions on disk: flat, short, without what equals the default.
#[derive(Encode, Decode)]
#[cbor(map)]
struct ExecutionRow<'a> {
    #[n(0)]
    state: State,
    #[b(1)]
    kind: &'a str,
    #[b(2)]
    lane: Option<&'a str>,
    #[b(3)]
    namespace: Option<&'a str>,
    #[n(4)]
    requires: Option<Vec<String>>,
    #[n(5)]
    policy: Option<Cow<'a, Policy>>,
    #[n(6)]
    priority: Option<i8>,
    #[n(7)]
    paused: Option<bool>,
    #[n(8)]
    submitted_at: Millis,
    #[n(9)]
    due_at: Option<Millis>,
    /// Relative to the submission, so that it is short.
    #[n(10)]
    order: Option<Millis>,
    #[b(11)]
    fairness_key: Option<&'a str>,
    /// Microseconds, relative to the submission.
    #[n(12)]
    fairness_tag: Option<Millis>,
    #[n(13)]
    attempt: Option<u32>,
    #[n(14)]
    failures: Option<u32>,
    #[n(15)]
    crashes: Option<u32>,
    #[n(16)]
    epoch: Option<u32>,
    #[cbor(n(17), with = "minicbor::bytes")]
    token: Option<[u8; 16]>,
    #[b(18)]
    worker: Option<&'a str>,
    #[n(19)]
    session: Option<u64>,
    /// Relative to the submission.
    #[n(20)]
    granted_at: Option<Millis>,
    /// Relative to the grant.
    #[n(21)]
    renewed_at: Option<Millis>,
    #[n(22)]
    progress: Option<Cow<'a, Progress>>,
    #[n(23)]
    stop: Option<Cow<'a, Stop>>,
    #[n(24)]
    end: Option<Cow<'a, End>>,
    #[n(25)]
    revived_at: Option<Millis>,
    #[n(26)]
    history: Option<History<'a>>,
    #[n(27)]
    last_word: Option<Cow<'a, LastWord>>,
    #[cbor(n(28), with = "minicbor::bytes")]
    replayed_by: Option<[u8; 16]>,
    /// Transitions that came before those in `history`.
    #[n(29)]
    forgotten: Option<u32>,
    #[n(30)]
    log: Option<Cow<'a, LogSize>>,
    /// Relative to the submission; absent, it is the fairness key's turn or the submission.
    #[n(31)]
    tag: Option<Millis>,
    #[n(40)]
    spending: Option<Cow<'a, Spending>>,
}

/// The lane and namespace of a submission that names none.
const DEFAULT_NAME: &str = "default";

fn unless<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

fn encode_execution(e: &Execution) -> Vec<u8> {
    let lease = e.lease.as_deref();
    to_vec(&ExecutionRow {
        state: e.state(),
        kind: &e.group.kind,
        lane: unless(&*e.group.lane, DEFAULT_NAME),
        namespace: unless(&*e.group.namespace, DEFAULT_NAME),
        requires: (!e.group.requires.is_empty())
            .then(|| e.group.requires.iter().map(|r| r.text().to_owned()).collect()),
        policy: (*e.policy != DEFAULT_POLICY).then_some(Cow::Borrowed(&*e.policy)),
        priority: unless(e.priority, 0),
        paused: unless(e.paused, false),
        submitted_at: e.submitted_at,
        due_at: unless(e.due_at, 0),
        order: unless(e.order.saturating_sub(e.submitted_at), 0),
        fairness_key: e.fair.as_deref().map(|f| &*f.key),
        fairness_tag: e
            .fair
            .as_deref()
            .filter(|f| f.tag != 0)
            .map(|f| f.tag.saturating_sub(e.submitted_at.saturating_mul(1_000))),
        attempt: unless(e.attempt, 0),
        failures: unless(e.failures, 0),
        crashes: unless(e.crashes, 0),
        epoch: unless(e.epoch, 0),
        token: lease.map(|l| l.token.0),
        worker: lease.map(|l| &*l.worker.name),
        session: lease.and_then(|l| unless(l.worker.session, 0)),
        granted_at: lease.map(|l| l.granted_at.saturating_sub(e.submitted_at)),
        renewed_at: lease.and_then(|l| unless(l.renewed_at.saturating_sub(l.granted_at), 0)),
        progress: lease.and_then(|l| l.progress.as_ref()).map(Cow::Borrowed),
        stop: e.stop.as_deref().map(Cow::Borrowed),
        end: e.end.as_deref().map(Cow::Borrowed),
        revived_at: e.revived_at,
        history: (!e.history().is_empty()).then_some(History::Of(e)),
        last_word: e.last_word.as_deref().map(Cow::Borrowed),
        replayed_by: e.replayed_by.as_deref().map(|request| request.0),
        forgotten: unless(e.forgotten(), 0),
        log: e.log.as_deref().map(Cow::Borrowed),
        tag: (e.tag != usual_tag(e)).then(|| e.tag.saturating_sub(e.submitted_at)),
        spending: e.spending.as_deref().map(Cow::Borrowed),
    })
}

/// What an execution's tag is unless its record says otherwise.
fn usual_tag(e: &Execution) -> Millis {
    e.fair.as_deref().filter(|fair| fair.tag != 0).map_or(e.submitted_at, |fair| fair.tag / 1_000)
}

/// Reads an execution's record.
pub(crate) fn decode_execution(id: ExecutionId, bytes: &[u8]) -> Result<Execution, minicbor::decode::Error> {
    let row: ExecutionRow<'_> = minicbor::decode(bytes)?;
    let requires = row
        .requires
        .unwrap_or_default()
        .iter()
        .map(|text| Requirement::parse(text))
        .collect::<Result<Vec<_>, _>>()
        .map_err(minicbor::decode::Error::custom)?;
    let group = Group {
        namespace: row.namespace.unwrap_or(DEFAULT_NAME).into(),
        lane: row.lane.unwrap_or(DEFAULT_NAME).into(),
        kind: row.kind.into(),
        requires,
    };
    let since_submission = |ms: Option<Millis>| row.submitted_at.saturating_add(ms.unwrap_or(0));
    let granted_at = since_submission(row.granted_at);
    let history = row.history.map(|history| history.since(row.submitted_at)).unwrap_or_default();
    let mut execution = Execution::new(
        id,
        Arc::new(group),
        Arc::new(row.policy.map_or(DEFAULT_POLICY, Cow::into_owned)),
        row.priority.unwrap_or(0),
        row.submitted_at,
        None,
    );
    execution.paused = row.paused.unwrap_or(false);
    execution.due_at = row.due_at.unwrap_or(0);
    execution.order = since_submission(row.order);
    let submitted_us = row.submitted_at.saturating_mul(1_000);
    execution.fair = row.fairness_key.map(|key| {
        Box::new(Fair {
            key: key.into(),
            tag: row.fairness_tag.map_or(0, |tag| submitted_us.saturating_add(tag)),
        })
    });
    execution.tag = row.tag.map_or_else(|| usual_tag(&execution), |tag| since_submission(Some(tag)));
    execution.attempt = row.attempt.unwrap_or(0);
    execution.failures = row.failures.unwrap_or(0);
    execution.crashes = row.crashes.unwrap_or(0);
    execution.epoch = row.epoch.unwrap_or(0);
    execution.lease = row.token.map(|token| {
        Box::new(Lease {
            token: LeaseToken(token),
            worker: Worker { name: row.worker.unwrap_or_default().into(), session: row.session.unwrap_or(0) },
            granted_at,
            renewed_at: granted_at.saturating_add(row.renewed_at.unwrap_or(0)),
            progress: row.progress.map(Cow::into_owned),
        })
    });
    execution.stop = row.stop.map(Cow::into_owned).map(Box::new);
    execution.end = row.end.map(Cow::into_owned).map(Box::new);
    execution.last_word = row.last_word.map(Cow::into_owned).map(Box::new);
    execution.revived_at = row.revived_at;
    execution.replayed_by = row.replayed_by.map(RequestId).map(Box::new);
    execution.log = row.log.map(Cow::into_owned).map(Box::new);
    execution.spending = row.spending.map(Cow::into_owned).map(Box::new);
    Ok(execution.restored(row.state, history, row.forgotten.unwrap_or(0)))
}
