//! The client: submits work, asks about it, and acts on it.

mod act;
mod budget;
mod builder;
mod bulk;
mod find;
mod follow;
mod gather;
mod items;
mod lane;
mod namespace;
mod outcome;
mod store;
mod submission;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stint_api::{
    BatchReply, BatchRequest, BatchResult, ChargeReply, ChargeRequest, CompleteRequest, EndReply, Execution,
    ExtendReply, FailRequest, HeartbeatReply, HeartbeatRequest, LeaseHoldRequest, LeaseReply, LeaseRequest,
    LogReply, LogRequest, Payload, Problem, ReadyReply, ReleaseRequest, StepReply, StepRequest,
    StepResultRequest, SubmitReply, SuspendedRequest, WhyReply, WorkerInfo, WorkerReply, WorkerRequest,
    WorkersReply,
};

use stint_engine::Engine;

use crate::session::Sessions;
use crate::transport::{FromReply, InProcess, Request, Target, Transport};
use crate::{Error, Randomness, retry};
use gather::Gather;

use crate::transport::money::Money;
pub use budget::{BudgetHandle, HoldHandle};
pub use builder::ClientBuilder;
pub use items::Items;
pub use lane::LaneHandle;
pub use namespace::NamespaceHandle;
pub use outcome::{Outcome, ResultCall};
pub(crate) use submission::ms;
pub use submission::{Spending, Submission};

/// The namespace of whoever names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A handle on a Stint server or engine. Cheap to clone; clones share connections and sessions.
///
/// Every call that changes something carries a key, and is sent again under the same key until it is answered
/// or the client's deadline is over. So a lost connection, a restarted server or a lost reply never does
/// anything twice.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    sessions: Arc<Sessions>,
    randomness: Randomness,
    namespace: Arc<str>,
    deadline: Duration,
    gather: Arc<Gather>,
    is_gathering: bool,
}

impl Client {
    /// Settings to change before building.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A client of the server at an address such as `http://127.0.0.1:7400`. Connects when it is first used.
    pub fn connect(address: impl Into<String>) -> Result<Self, Error> {
        Self::builder().address(address).build()
    }

    /// A client of an engine in the same process. See [`Embedded`](crate::Embedded).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// let stint = stint::Embedded::in_memory().await?;
    /// let client = stint::Client::in_process(stint.engine().clone());
    /// assert_eq!(client.ready().await?.status, "ready");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_process(engine: Engine) -> Self {
        Self::over(Arc::new(InProcess::new(engine)), Self::builder())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn in_process_with(engine: Engine, randomness: Randomness) -> Self {
        Self::over(Arc::new(InProcess::new(engine)), Self::builder().randomness(randomness))
    }

    fn over(transport: Arc<dyn Transport>, builder: ClientBuilder) -> Self {
        let randomness = builder.randomness.unwrap_or_else(Randomness::from_os);
        Self {
            is_gathering: builder.is_gathering && transport.gathers(),
            gather: Arc::default(),
            transport,
            sessions: Sessions::new(randomness.clone()),
            randomness,
            namespace: builder.namespace.into(),
            deadline: builder.deadline,
        }
    }

    /// The same client with another deadline for its calls.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use std::time::Duration;
    ///
    /// let impatient = client.clone().with_deadline(Duration::from_secs(2));
    /// impatient.ready().await?;
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The namespace of everything this client names.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Submits one execution. It is durable when this returns.
    pub async fn submit(&self, submission: Submission) -> Result<SubmitReply, Error> {
        let mut request = submission.into_request()?;
        request.namespace = self.named();
        if self.is_gathering {
            return self.submit_gathered(request).await;
        }
        self.post(Request::Submit(Box::new(request))).await
    }

    /// Submits up to 1,000 executions in one request, with a result for each, in order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use stint::Submission;
    ///
    /// let submissions = (1..=3).map(|page| Submission::new("crawl").input(&page));
    /// for submitted in client.submit_batch(submissions).await? {
    ///     println!("{}", submitted?.id);
    /// }
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn submit_batch(
        &self,
        submissions: impl IntoIterator<Item = Submission>,
    ) -> Result<Vec<Result<SubmitReply, Problem>>, Error> {
        let executions =
            submissions.into_iter().map(Submission::into_request).collect::<Result<Vec<_>, _>>()?;
        self.batch(BatchRequest { executions, namespace: self.named() }).await
    }

    async fn batch(&self, batch: BatchRequest) -> Result<Vec<Result<SubmitReply, Problem>>, Error> {
        let asked = batch.executions.len();
        let reply: BatchReply = self.post(Request::SubmitBatch(batch)).await?;
        if reply.results.len() != asked {
            return Err(Error::Protocol(format!("{} results for {asked} submissions", reply.results.len())));
        }
        Ok(reply
            .results
            .into_iter()
            .map(|result| match result {
                BatchResult::Submitted(submitted) => Ok(submitted),
                BatchResult::Refused { error } => Err(error),
            })
            .collect())
    }

    /// Everything about an execution but its input and output.
    pub async fn execution(&self, id: &str) -> Result<Execution, Error> {
        let execution: Box<Execution> = self.get(Request::Execution(self.target(id))).await?;
        Ok(*execution)
    }

    /// An execution's end: `client.result::<Out>(&id).wait(Duration::from_secs(60)).await?`.
    pub fn result<T>(&self, id: impl Into<String>) -> ResultCall<T> {
        ResultCall::new(self.clone(), id.into())
    }

    /// What an execution waits for, and when that will change.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// # use stint::Submission;
    /// let id = client.submit(Submission::new("mail").requires("gpu")).await?.id;
    /// for waiting in client.why(&id).await?.waiting_for {
    ///     println!("{waiting:?}");
    /// }
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn why(&self, id: &str) -> Result<WhyReply, Error> {
        self.get(Request::Why(self.target(id))).await
    }

    /// A lane, to read, set, pause, resume or drain.
    pub fn lane(&self, name: impl Into<String>) -> LaneHandle {
        LaneHandle::new(self.clone(), name.into())
    }

    /// Settings of a namespace, to read or set.
    pub fn settings_of(&self, namespace: impl Into<String>) -> NamespaceHandle {
        NamespaceHandle::new(self.clone(), namespace.into())
    }

    /// Workers seen lately.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// for worker in client.workers().await? {
    ///     println!("{} holds {} leases", worker.id, worker.leases);
    /// }
    /// assert_eq!(client.drain_worker("nobody").await.unwrap_err().code(), "not_found");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, Error> {
        let reply: WorkersReply =
            self.get(Request::Workers { namespace: self.namespace.to_string() }).await?;
        Ok(reply.workers)
    }

    /// Gives a worker no more leases, and asks it to finish what it holds and end. Its id is the one that
    /// [`workers`](Self::workers) shows.
    pub async fn drain_worker(&self, id: &str) -> Result<WorkerInfo, Error> {
        let request = WorkerRequest { namespace: self.named() };
        let reply: WorkerReply = self.post(Request::DrainWorker(id.to_owned(), request)).await?;
        Ok(reply.worker)
    }

    /// Whether the node takes requests.
    pub async fn ready(&self) -> Result<ReadyReply, Error> {
        self.get(Request::Ready).await
    }

    /// Asks for leases, without a [`Worker`](crate::Worker): heartbeats and ends are the caller's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use stint::Submission;
    /// use stint::api::{FailRequest, Failure, HeartbeatRequest, LeaseRequest, Payload, WorkerRef};
    ///
    /// for _ in 0..3 {
    ///     client.submit(Submission::new("mail")).await?;
    /// }
    /// let worker = WorkerRef { name: "by-hand".to_owned(), ..WorkerRef::default() };
    /// let lanes = vec!["default".to_owned()];
    /// let request = LeaseRequest { worker, lanes, max: 3, wait_ms: 1_000, ..LeaseRequest::default() };
    /// let leases = client.lease(request).await?.leases;
    ///
    /// let lease = &leases[0].lease;
    /// client.heartbeat(lease, HeartbeatRequest::default()).await?;
    /// client.begin_step(lease, "send").await?;
    /// client.record_step(lease, "send", Payload::null()).await?;
    /// client.log(lease, vec!["sent".to_owned()]).await?;
    /// client.complete(lease, Payload::null()).await?;
    /// client.fail(&leases[1].lease, FailRequest::new(Failure::new("refused", "no such address"))).await?;
    /// client.release(&leases[2].lease).await?;
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lease(&self, mut request: LeaseRequest) -> Result<LeaseReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Lease(request)).await
    }

    /// Keeps a lease.
    pub async fn heartbeat(
        &self,
        lease: &str,
        mut request: HeartbeatRequest,
    ) -> Result<HeartbeatReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Heartbeat(lease.to_owned(), request)).await
    }

    /// Ends an attempt with an output.
    pub async fn complete(&self, lease: &str, output: Payload) -> Result<EndReply, Error> {
        let request = CompleteRequest { output, namespace: self.named() };
        self.post(Request::Complete(lease.to_owned(), request)).await
    }

    /// Ends an attempt with an error.
    pub async fn fail(&self, lease: &str, mut request: FailRequest) -> Result<EndReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Fail(lease.to_owned(), request)).await
    }

    /// Gives a lease back unused.
    pub async fn release(&self, lease: &str) -> Result<EndReply, Error> {
        let request = ReleaseRequest { namespace: self.named(), ..ReleaseRequest::default() };
        self.post(Request::Release(lease.to_owned(), request)).await
    }

    /// Records what was spent under a lease, also after it is lost. Said again under the same id it counts once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use stint::api::{BudgetSettings, ChargeRequest, LeaseHoldRequest, LeaseRequest, WorkerRef};
    /// use stint::{Amounts, Submission};
    ///
    /// let settings = r#"{"windows": [{"name": "all", "kind": "total", "limits": {"calls": {"hard": 10}}}]}"#;
    /// let settings: BudgetSettings = serde_json::from_str(settings).unwrap();
    /// client.budget("acme").set(settings).await?;
    /// client.submit(Submission::new("mail").budget("acme", |budget| budget.hold("calls", 2))).await?;
    /// let worker = WorkerRef { name: "by-hand".to_owned(), ..WorkerRef::default() };
    /// let lanes = vec!["default".to_owned()];
    /// let request = LeaseRequest { worker, lanes, max: 1, wait_ms: 1_000, ..LeaseRequest::default() };
    /// let lease = &client.lease(request).await?.leases[0].lease;
    ///
    /// let calls = |n: u64| Amounts::of([("calls", n)]);
    /// let more = LeaseHoldRequest { id: "1".into(), amounts: calls(3), ..LeaseHoldRequest::default() };
    /// assert!(client.extend_lease(lease, more).await?.granted);
    /// assert!(client.charge_lease(lease, ChargeRequest::new("call-1", calls(4))).await?.recorded);
    /// // Only what was asked to stop can say that it is parked.
    /// assert_eq!(client.suspended(lease).await.unwrap_err().code(), "wrong_state");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn charge_lease(&self, lease: &str, mut request: ChargeRequest) -> Result<ChargeReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Money(Box::new(Money::ChargeLease(lease.to_owned(), request)))).await
    }

    /// Asks for more money under a lease, before it is spent. Answered at once.
    pub async fn extend_lease(
        &self,
        lease: &str,
        mut request: LeaseHoldRequest,
    ) -> Result<ExtendReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Money(Box::new(Money::ExtendLease(lease.to_owned(), request)))).await
    }

    /// Says that an attempt has stopped, as its budget asked: it is parked, and goes on when there is money again.
    pub async fn suspended(&self, lease: &str) -> Result<EndReply, Error> {
        let request = SuspendedRequest { namespace: self.named() };
        self.post(Request::Money(Box::new(Money::Suspended(lease.to_owned(), request)))).await
    }

    /// Writes lines to the log of an attempt.
    pub async fn log(&self, lease: &str, lines: Vec<String>) -> Result<LogReply, Error> {
        let request = LogRequest { lines, namespace: self.named() };
        self.post(Request::Log(lease.to_owned(), request)).await
    }

    /// Asks whether to run a step.
    pub async fn begin_step(&self, lease: &str, key: &str) -> Result<StepReply, Error> {
        let request = StepRequest { key: key.to_owned(), namespace: self.named() };
        self.post(Request::BeginStep(lease.to_owned(), request)).await
    }

    /// Records a step's result.
    pub async fn record_step(&self, lease: &str, key: &str, output: Payload) -> Result<EndReply, Error> {
        let request = StepResultRequest { output, namespace: self.named() };
        let (lease, key) = (lease.to_owned(), key.to_owned());
        self.post(Request::RecordStep { lease, key, request }).await
    }

    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    pub(crate) fn randomness(&self) -> &Randomness {
        &self.randomness
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        Target { namespace: self.namespace.to_string(), name: name.to_owned() }
    }

    pub(crate) async fn get<R: FromReply>(&self, request: Request) -> Result<R, Error> {
        let reply = retry::settle(&*self.transport, &request, None, self.deadline, &self.randomness).await?;
        R::from_reply(reply).map_err(|error| Error::Protocol(error.to_string()))
    }

    pub(crate) async fn post<R: FromReply>(&self, request: Request) -> Result<R, Error> {
        let keyed = self.sessions.next(request.commands());
        let reply =
            retry::settle(&*self.transport, &request, Some(&keyed.key), self.deadline, &self.randomness)
                .await?;
        R::from_reply(reply).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// A request that names no namespace is about the client's.
    pub(crate) fn own(&self, namespace: &mut Option<String>) {
        if namespace.is_none() {
            *namespace = self.named();
        }
    }

    /// The namespace as requests carry it: not at all if it is the default.
    pub(crate) fn named(&self) -> Option<String> {
        (&*self.namespace != DEFAULT_NAMESPACE).then(|| self.namespace.to_string())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("transport", &self.transport)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
