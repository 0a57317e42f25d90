//! The engine as server and SDK see it.

use std::sync::Arc;

use stint_api::{
    ActionReply, BatchReply, BatchRequest, CancelRequest, Code, CompleteRequest, EndReply, ExchangeReply,
    ExchangeRequest, Execution, FailRequest, HeartbeatReply, HeartbeatRequest, Lane, LaneReply, LaneSettings,
    LeaseReply, LeaseRequest, PriorityRequest, Problem, ReadyReply, ReleaseRequest, ReplayRequest,
    RequestKey, ResultReply, StepReply, StepRequest, StepResultRequest, SubmitReply, SubmitRequest, WhyReply,
    WorkerInfo,
};

use crate::hub::Hub;

/// A handle on a running engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine {
    hub: Arc<Hub>,
}

macro_rules! opening {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $reply:ty;)*) => {
        impl Engine {
            $($(#[$doc])* pub async fn $name(&self, $($arg: $type),*) -> Result<$reply, Problem> {
                $(let _ = $arg;)*
                Err(self.opening())
            })*
        }
    };
}

opening! {
    /// Accepts an execution.
    submit(request: SubmitRequest, key: Option<RequestKey>) -> SubmitReply;
    /// Accepts up to 1,000.
    submit_batch(request: BatchRequest, key: Option<RequestKey>) -> BatchReply;
    /// Shows an execution.
    execution(namespace: &str, id: &str) -> Execution;
    /// Waits for an execution's end.
    result(namespace: &str, id: &str, wait_ms: u64) -> ResultReply;
    /// Leases work.
    lease(request: LeaseRequest, key: Option<RequestKey>) -> LeaseReply;
    /// Keeps a lease.
    heartbeat(lease: &str, request: HeartbeatRequest) -> HeartbeatReply;
    /// Ends an attempt well.
    complete(lease: &str, request: CompleteRequest) -> EndReply;
    /// Ends an attempt badly.
    fail(lease: &str, request: FailRequest) -> EndReply;
    /// Gives a lease back unused.
    release(lease: &str, request: ReleaseRequest) -> EndReply;
    /// Asks for a step.
    begin_step(lease: &str, request: StepRequest) -> StepReply;
    /// Journals a step's result.
    record_step(lease: &str, key: &str, request: StepResultRequest) -> EndReply;
    /// All a worker says and hears.
    exchange(request: ExchangeRequest) -> ExchangeReply;
    /// Stops an execution.
    cancel(namespace: &str, id: &str, request: CancelRequest) -> ActionReply;
    /// Runs an ended execution again.
    replay(namespace: &str, id: &str, request: ReplayRequest) -> ActionReply;
    /// Changes an execution's priority.
    set_priority(namespace: &str, id: &str, request: PriorityRequest) -> ActionReply;
    /// Holds an execution back.
    pause(namespace: &str, id: &str) -> ActionReply;
    /// Lets a paused execution go on.
    resume(namespace: &str, id: &str) -> ActionReply;
    /// Takes a running execution's lease.
    revoke(namespace: &str, id: &str) -> ActionReply;
    /// Explains what an execution waits for.
    why(namespace: &str, id: &str) -> WhyReply;
    /// Shows a lane.
    lane(namespace: &str, name: &str) -> Lane;
    /// Replaces a lane's settings.
    set_lane(namespace: &str, name: &str, settings: LaneSettings) -> LaneReply;
    /// Starts nothing of a lane any more.
    pause_lane(namespace: &str, name: &str) -> LaneReply;
    /// Takes and starts a lane's work again.
    resume_lane(namespace: &str, name: &str) -> LaneReply;
    /// Takes nothing new into a lane.
    drain_lane(namespace: &str, name: &str) -> LaneReply;
    /// Workers seen lately.
    workers(namespace: &str) -> Vec<WorkerInfo>;
}

impl Engine {
    /// Whether requests are taken.
    pub fn ready(&self) -> Result<ReadyReply, Problem> {
        Err(self.opening())
    }

    /// Stops giving leases, finishes what is under way, and closes the store.
    pub async fn drain(&self) {
        self.hub.close();
    }

    fn opening(&self) -> Problem {
        Problem::new(Code::StoreUnavailable, "the partitions are not open yet")
    }
}
