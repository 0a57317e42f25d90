//! The client: submits work, asks about it, and acts on it.

mod lane;
mod outcome;
mod submission;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stint_api::{
    ActionReply, ActionRequest, BatchReply, BatchRequest, BatchResult, CancelRequest, CompleteRequest,
    EndReply, Execution, FailRequest, HeartbeatReply, HeartbeatRequest, LeaseReply, LeaseRequest, Payload,
    PriorityRequest, Problem, ReadyReply, ReleaseRequest, ReplayRequest, StepReply, StepRequest,
    StepResultRequest, SubmitReply, WhyReply, WorkerInfo, WorkersReply,
};

use stint_engine::Engine;

use crate::session::Sessions;
use crate::transport::{Action, FromReply, HttpTransport, InProcess, Request, Target, Transport};
use crate::{Error, Randomness, retry};

pub use lane::LaneHandle;
pub use outcome::{Outcome, ResultCall};
pub use submission::Submission;
pub(crate) use submission::ms;

/// The namespace of whoever names none.
const DEFAULT_NAMESPACE: &str = "default";

/// How long a call goes on trying, unless the builder says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

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
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    addresses: Vec<String>,
    transport: Option<Arc<dyn Transport>>,
    randomness: Option<Randomness>,
    namespace: String,
    deadline: Duration,
}

impl Client {
    /// Settings to change before building.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            addresses: Vec::new(),
            transport: None,
            randomness: None,
            namespace: DEFAULT_NAMESPACE.to_owned(),
            deadline: DEADLINE,
        }
    }

    /// A client of the server at an address such as `http://127.0.0.1:7400`. Connects when it is first used.
    pub fn connect(address: impl Into<String>) -> Result<Self, Error> {
        Self::builder().address(address).build()
    }

    /// A client of an engine in the same process.
    pub fn in_process(engine: Engine) -> Self {
        Self::over(Arc::new(InProcess::new(engine)), Self::builder())
    }

    fn over(transport: Arc<dyn Transport>, builder: ClientBuilder) -> Self {
        let randomness = builder.randomness.unwrap_or_else(Randomness::from_os);
        Self {
            transport,
            sessions: Sessions::new(randomness.clone()),
            randomness,
            namespace: builder.namespace.into(),
            deadline: builder.deadline,
        }
    }

    /// The same client with another deadline for its calls.
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
        self.post(Request::Submit(Box::new(request))).await
    }

    /// Submits up to 1,000 executions in one request, with a result for each, in order.
    pub async fn submit_batch(
        &self,
        submissions: impl IntoIterator<Item = Submission>,
    ) -> Result<Vec<Result<SubmitReply, Problem>>, Error> {
        let executions =
            submissions.into_iter().map(Submission::into_request).collect::<Result<Vec<_>, _>>()?;
        let asked = executions.len();
        let batch = BatchRequest { executions, namespace: self.named() };
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
    pub async fn why(&self, id: &str) -> Result<WhyReply, Error> {
        self.get(Request::Why(self.target(id))).await
    }

    /// Cancels an execution. Running code is asked to stop and has a grace period. Cancelling twice is fine.
    pub async fn cancel(&self, id: &str, mut request: CancelRequest) -> Result<ActionReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Cancel(id.to_owned(), request)).await
    }

    /// Runs an execution that has ended again. It is not sent again if its reply is lost, as nothing would
    /// tell the second replay from the first: the answer is then [`Error::NoAnswer`].
    pub async fn replay(&self, id: &str, mut request: ReplayRequest) -> Result<ActionReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::Replay(id.to_owned(), request)).await
    }

    /// Changes an execution's priority.
    pub async fn set_priority(&self, id: &str, priority: i32) -> Result<ActionReply, Error> {
        let request = PriorityRequest { priority, namespace: self.named() };
        self.post(Request::SetPriority(id.to_owned(), request)).await
    }

    /// Keeps an execution from starting. Running code is asked to stop.
    pub async fn pause(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Pause, id).await
    }

    /// Ends a pause.
    pub async fn resume(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Resume, id).await
    }

    /// Takes an execution's lease away from its worker.
    pub async fn revoke(&self, id: &str) -> Result<ActionReply, Error> {
        self.act(Action::Revoke, id).await
    }

    /// A lane, to read, set, pause, resume or drain.
    pub fn lane(&self, name: impl Into<String>) -> LaneHandle {
        LaneHandle::new(self.clone(), name.into())
    }

    /// Workers seen lately.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, Error> {
        let reply: WorkersReply =
            self.get(Request::Workers { namespace: self.namespace.to_string() }).await?;
        Ok(reply.workers)
    }

    /// Whether the node takes requests.
    pub async fn ready(&self) -> Result<ReadyReply, Error> {
        self.get(Request::Ready).await
    }

    /// Asks for leases, without a [`Worker`](crate::Worker): heartbeats and ends are the caller's.
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
        let request = ReleaseRequest { namespace: self.named() };
        self.post(Request::Release(lease.to_owned(), request)).await
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

    async fn act(&self, action: Action, id: &str) -> Result<ActionReply, Error> {
        let request = ActionRequest { namespace: self.named() };
        self.post(Request::Act(action, id.to_owned(), request)).await
    }

    /// A request that names no namespace is about the client's.
    fn own(&self, namespace: &mut Option<String>) {
        if namespace.is_none() {
            *namespace = self.named();
        }
    }

    /// The namespace as requests carry it: not at all if it is the default.
    pub(crate) fn named(&self) -> Option<String> {
        (&*self.namespace != DEFAULT_NAMESPACE).then(|| self.namespace.to_string())
    }
}

impl ClientBuilder {
    /// Adds a server's address. With several the next one is tried when one fails.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Uses this transport instead of HTTP.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Where sessions and jitter come from: a seed makes them repeatable.
    #[must_use]
    pub fn randomness(mut self, randomness: Randomness) -> Self {
        self.randomness = Some(randomness);
        self
    }

    /// The namespace of everything the client names; `default` unless given.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a call goes on trying before it gives up; 30 s unless given.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The client. Fails if an address is not one.
    pub fn build(mut self) -> Result<Client, Error> {
        stint_api::check_namespace(&self.namespace)?;
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(&self.addresses)?),
        };
        Ok(Client::over(transport, self))
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
