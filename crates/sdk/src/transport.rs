//! How a client or worker reaches an engine: over HTTP, or in the same process.
//!
//! Everything the SDK says goes through [`Transport::send`]. A simulation wraps one to lose, repeat and delay
//! requests and replies, and the code above it is the same. So may a test:
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use stint::transport::money::Money;
//! use stint::transport::{
//!     Action, ByteStream, EventStream, InProcess, LaneAction, Page, Reply, Request, SendError, Target, Transport,
//! };
//! use stint::{Client, Submission};
//!
//! /// Loses every first reply.
//! #[derive(Debug)]
//! struct Forgetful(InProcess, AtomicBool);
//!
//! impl Transport for Forgetful {
//!     fn send<'a>(
//!         &'a self,
//!         request: &'a Request,
//!         key: Option<&'a str>,
//!     ) -> futures_util::future::BoxFuture<'a, Result<Reply, SendError>> {
//!         Box::pin(async move {
//!             let reply = self.0.send(request, key).await?;
//!             match self.1.swap(true, Ordering::Relaxed) {
//!                 true => Ok(reply),
//!                 false => Err(SendError::Lost("forgotten".to_owned())),
//!             }
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), stint::Error> {
//! # let stint = stint::Embedded::in_memory().await?;
//! let forgetful = Forgetful(InProcess::new(stint.engine().clone()), AtomicBool::new(false));
//! let client = Client::builder().transport(Arc::new(forgetful)).build()?;
//! // It is sent again under the same key, and done once.
//! assert!(client.submit(Submission::new("mail")).await?.existed);
//! # stint.close().await;
//! # Ok(())
//! # }
//! ```

mod http;
mod in_process;
pub mod money;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use stint_api::{
    ActionReply, ActionRequest, BatchReply, BatchRequest, Budget, BudgetsReply, BulkJob, BulkReply,
    BulkRequest, BulksReply, CancelRequest, ChargeReply, CompleteRequest, CountReply, CountRequest,
    DoctorReply, EndReply, EventsReply, ExchangeReply, ExchangeRequest, Execution, ExecutionEvent,
    ExtendReply, FailRequest, HeartbeatReply, HeartbeatRequest, HoldReply, Lane, LaneReply, LaneSettings,
    LanesReply, LeaseReply, LeaseRequest, LedgerReply, ListReply, ListRequest, LogReply, LogRequest,
    LogsReply, Namespace, NamespaceReply, NamespaceSettings, PricesReply, PriorityRequest, Problem,
    ReadyReply, ReconcileReply, ReleaseHoldReply, ReleaseRequest, ReplayRequest, ReportReply, ResultReply,
    SettleReply, StepReply, StepRequest, StepResultRequest, StepsReply, StoreReport, SubmitReply,
    SubmitRequest, TagRequest, WhyReply, WorkerReply, WorkerRequest, WorkersReply,
};

pub use http::HttpTransport;
pub use in_process::InProcess;

/// Carries one request and its reply.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` once. `key` is the `Idempotency-Key` of a POST. The caller decides about sending again.
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>>;

    /// An execution's events behind a cursor, first those that are kept, then each as it happens. It ends behind the
    /// event that ends the execution, and when the way to it breaks: whoever wants more follows on from the last cursor.
    fn follow<'a>(
        &'a self,
        of: &'a Target,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<EventStream, SendError>> {
        let unable = format!("{self:?} follows no events of {} after {after:?}", of.name);
        Box::pin(std::future::ready(Err(SendError::Garbled(unable))))
    }

    /// A copy of everything that the store holds, in pieces, once. It is whole if its last frame says so.
    fn backup(&self) -> BoxFuture<'_, Result<ByteStream, SendError>> {
        Box::pin(std::future::ready(Err(SendError::Garbled(format!("{self:?} makes no backups")))))
    }

    /// Whether submissions that are made at once should travel together: worth it where a request costs a round
    /// trip.
    fn gathers(&self) -> bool {
        false
    }

    /// Whether every server of the store was asked when this answers [`SendError::Down`] or `store_unavailable`. A
    /// worker that hears so knows that nobody can end its leases now, and lets its handlers run on.
    fn asks_everybody(&self) -> bool {
        false
    }
}

/// Events as a transport gives them.
pub type EventStream = BoxStream<'static, Result<ExecutionEvent, SendError>>;

/// Bytes as a transport gives them.
pub type ByteStream = BoxStream<'static, Result<Bytes, SendError>>;

/// Everything there is to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// `POST executions`.
    Submit(Box<SubmitRequest>),
    /// `POST executions/batch`.
    SubmitBatch(BatchRequest),
    /// `GET executions/{id}`.
    Execution(Target),
    /// `GET executions/{id}/result`.
    Result {
        /// Of which execution.
        of: Target,
        /// How long to wait for its end.
        wait_ms: u64,
    },
    /// `GET executions/{id}/why`.
    Why(Target),
    /// `GET executions`.
    Executions(ListRequest),
    /// `GET executions/count`.
    Count(CountRequest),
    /// `GET executions/{id}/events`, those that are kept.
    Events(Target),
    /// `GET executions/{id}/steps`.
    Steps(Target, Page),
    /// `GET executions/{id}/logs`.
    Logs {
        /// Of which execution.
        of: Target,
        /// Of which attempt; of all unless given.
        attempt: Option<u32>,
        /// Which page.
        page: Page,
    },
    /// `POST executions/{id}/cancel`.
    Cancel(String, CancelRequest),
    /// `POST executions/{id}/replay`.
    Replay(String, ReplayRequest),
    /// `POST executions/{id}/priority`.
    SetPriority(String, PriorityRequest),
    /// `POST executions/{id}/tag`
    Tag(String, TagRequest),
    /// `POST executions/{id}/pause`, `resume` or `revoke`.
    Act(Action, String, ActionRequest),
    /// `POST bulk`.
    BeginBulk(BulkRequest),
    /// `GET bulk/{job}`.
    Bulk(Target),
    /// `GET bulk`.
    Bulks {
        /// Whose.
        namespace: String,
    },
    /// `POST bulk/{job}/stop`.
    StopBulk(Target),
    /// `GET lanes`.
    Lanes {
        /// Whose.
        namespace: String,
        /// Which page.
        page: Page,
    },
    /// `GET lanes/{name}`.
    Lane(Target),
    /// `PUT lanes/{name}`.
    SetLane(String, LaneSettings),
    /// `POST lanes/{name}/pause`, `resume` or `drain`.
    ActOnLane(LaneAction, Target),
    /// `GET namespaces/{name}`.
    Namespace(String),
    /// `PUT namespaces/{name}`.
    SetNamespace(String, NamespaceSettings),
    /// `POST leases`.
    Lease(LeaseRequest),
    /// `POST leases/{lease}/heartbeat`.
    Heartbeat(String, HeartbeatRequest),
    /// `POST leases/{lease}/complete`.
    Complete(String, CompleteRequest),
    /// `POST leases/{lease}/fail`.
    Fail(String, FailRequest),
    /// `POST leases/{lease}/release`.
    Release(String, ReleaseRequest),
    /// `POST leases/{lease}/steps`.
    BeginStep(String, StepRequest),
    /// `POST leases/{lease}/steps/{key}/result`.
    RecordStep {
        /// The lease.
        lease: String,
        /// The step's key.
        key: String,
        /// Its result.
        request: StepResultRequest,
    },
    /// `POST leases/{lease}/logs`.
    Log(String, LogRequest),
    /// About budgets, holds, charges and prices.
    Money(Box<money::Money>),
    /// `POST worker/exchange`.
    Exchange(Box<ExchangeRequest>),
    /// `GET workers`.
    Workers {
        /// Whose.
        namespace: String,
    },
    /// `POST workers/{id}/drain`.
    DrainWorker(String, WorkerRequest),
    /// `GET /readyz`.
    Ready,
    /// `GET doctor`.
    Doctor,
    /// `GET store`.
    Store {
        /// Of which partition; of all unless given.
        partition: Option<u8>,
        /// Whether all records are counted, which reads everything.
        records: bool,
    },
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// How many entries at most; the server decides unless given.
    pub limit: Option<u32>,
    /// Where to go on, as an earlier page said.
    pub cursor: Option<String>,
}

/// Something that has a name within a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Whose it is.
    pub namespace: String,
    /// Its id or name.
    pub name: String,
}

/// What can be done to an execution without saying more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Nothing of it may start.
    Pause,
    /// Ends a pause.
    Resume,
    /// Takes the lease away.
    Revoke,
}

/// What can be done to a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LaneAction {
    /// Nothing in it may start.
    Pause,
    /// Ends a pause or a drain.
    Resume,
    /// Takes nothing new.
    Drain,
}

/// A request that has no usable answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SendError {
    /// The server said no, and why.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// It was not sent, because nobody listens at any address: the machines themselves say so.
    #[error("no server: {0}")]
    Down(String),
    /// It was not sent, and why is not known.
    #[error("not sent: {0}")]
    Unreachable(String),
    /// It was sent, and what became of it is not known.
    #[error("no answer: {0}")]
    Lost(String),
    /// The answer makes no sense.
    #[error("an answer that makes no sense: {0}")]
    Garbled(String),
}

/// How long the server may take to count all records of a store.
const COUNTING_MS: u64 = 10 * 60 * 1_000;

/// A reply that can be taken out of [`Reply`].
pub(crate) trait FromReply: Sized {
    fn from_reply(reply: Reply) -> Result<Self, SendError>;
}

macro_rules! replies {
    ($($(#[$doc:meta])* $variant:ident($type:ty),)*) => {
        /// What is answered.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Reply { $($(#[$doc])* $variant($type),)* }

        $(impl FromReply for $type {
            fn from_reply(reply: Reply) -> Result<Self, SendError> {
                match reply {
                    Reply::$variant(reply) => Ok(reply),
                    _ => Err(SendError::Garbled(concat!("expected ", stringify!($variant)).to_owned())),
                }
            }
        })*
    };
}

replies! {
    /// To a submission.
    Submitted(SubmitReply),
    /// To a batch.
    Batch(BatchReply),
    /// An execution.
    Execution(Box<Execution>),
    /// An execution's end, or that the wait is over.
    Result(ResultReply),
    /// What it waits for.
    Why(WhyReply),
    /// A page of executions.
    Executions(ListReply),
    /// How many executions.
    Count(CountReply),
    /// Events that are kept.
    Events(EventsReply),
    /// A page of a journal.
    Steps(StepsReply),
    /// A page of a log.
    Logs(LogsReply),
    /// What was acted on is now this.
    Acted(ActionReply),
    /// A lane.
    Lane(Box<Lane>),
    /// An action on many was begun, or counted.
    BulkBegun(BulkReply),
    /// How far an action on many is.
    Bulk(Box<BulkJob>),
    /// Actions on many.
    Bulks(BulksReply),
    /// A page of lanes.
    Lanes(LanesReply),
    /// A changed lane.
    LaneChanged(Box<LaneReply>),
    /// A namespace.
    Namespace(Namespace),
    /// A changed namespace.
    NamespaceChanged(NamespaceReply),
    /// Leases.
    Leases(LeaseReply),
    /// A lease lives on.
    Heartbeat(HeartbeatReply),
    /// An attempt ended, or a step is recorded.
    Ended(EndReply),
    /// Lines are kept.
    Logged(LogReply),
    /// Whether to run a step.
    Step(StepReply),
    /// An exchange's other half.
    Exchange(Box<ExchangeReply>),
    /// Workers seen lately.
    Workers(WorkersReply),
    /// A worker that was acted on.
    Worker(WorkerReply),
    /// The node takes requests.
    Ready(ReadyReply),
    /// How the server is.
    Doctor(DoctorReply),
    /// What its store holds.
    Store(Box<StoreReport>),
    /// A budget as it stands.
    Budget(Box<Budget>),
    /// A page of budgets.
    Budgets(BudgetsReply),
    /// It is deleted.
    Deleted(()),
    /// A hold as it stands.
    Held(HoldReply),
    /// Whether more is held.
    Extended(ExtendReply),
    /// How a charge was taken.
    Charged(ChargeReply),
    /// A hold has ended with what was spent under it.
    Settled(SettleReply),
    /// A hold has ended.
    HoldReleased(ReleaseHoldReply),
    /// A page of a ledger.
    Ledger(LedgerReply),
    /// What was spent, by what.
    Report(Box<ReportReply>),
    /// What was counted again.
    Reconciled(ReconcileReply),
    /// A price table.
    Prices(Box<PricesReply>),
}

impl SendError {
    /// Whether the same request under the same key may be answered when sent again.
    pub(crate) fn is_passing(&self) -> bool {
        use stint_api::Code;
        match self {
            Self::Down(_) | Self::Unreachable(_) | Self::Lost(_) => true,
            Self::Refused(problem) => matches!(
                problem.code,
                Code::Overloaded
                    | Code::StoreUnavailable
                    | Code::Draining
                    | Code::RequestTimeout
                    | Code::HandlerTimeout
            ),
            Self::Garbled(_) => false,
        }
    }

    /// Whether it proves that nothing was done.
    pub(crate) fn is_undone(&self) -> bool {
        match self {
            Self::Down(_) | Self::Unreachable(_) => true,
            Self::Refused(problem) => problem.code.class() != stint_api::Class::Unknown,
            Self::Lost(_) | Self::Garbled(_) => false,
        }
    }

    /// Whether it proves that no server could take a heartbeat: none is there, or all say that their store is away.
    /// A server does not end a lease for a time in which it could not hear of it.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Down(_) => true,
            Self::Refused(problem) => problem.code == stint_api::Code::StoreUnavailable,
            Self::Unreachable(_) | Self::Lost(_) | Self::Garbled(_) => false,
        }
    }

    /// How long the server asks to wait before sending again.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Refused(problem) => problem.retry_after_ms,
            _ => None,
        }
    }
}

impl Request {
    /// Commands it brings.
    pub(crate) fn commands(&self) -> usize {
        match self {
            Self::SubmitBatch(batch) => batch.executions.len(),
            _ => 1,
        }
    }

    /// How long the server may take over it on purpose.
    pub(crate) fn wait_ms(&self) -> u64 {
        match self {
            Self::Result { wait_ms, .. } => *wait_ms,
            Self::Lease(request) => request.wait_ms,
            Self::Exchange(request) => request.wait_ms,
            Self::Store { records: true, .. } => COUNTING_MS,
            _ => 0,
        }
    }
}
