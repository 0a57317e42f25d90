//! An engine to test with, and workers that speak to it.

use std::sync::Arc;
use std::time::Duration;

use stint_api::{
    CompleteRequest, EndReply, ExchangeReply, ExchangeRequest, ExecutionState, FailRequest, Failure, Lease,
    LeaseRequest, Payload, Problem, ResultReply, SessionWorker, SubmitReply, SubmitRequest, WorkerRef,
};
use stint_engine::{Engine, EngineConfig};
use stint_store::memory::{MemoryConfig, MemoryStore, StoreClock};

/// Where the store's clock starts.
pub(crate) const START_MS: i64 = 1_763_895_600_000;

/// An engine and its store.
pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) store: MemoryStore,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let clock = StoreClock::Virtual(START_MS);
        Self::on(MemoryStore::new(MemoryConfig { clock, exclusive: true, ..MemoryConfig::default() })).await
    }

    pub(crate) async fn on(store: MemoryStore) -> Self {
        let engine = open(&store).await;
        Self { engine, store }
    }

    /// Ends the engine as a kill would, and starts another on the same store.
    pub(crate) async fn restart(self) -> Self {
        let store = self.store.clone();
        drop(self);
        Self::on(store).await
    }

    pub(crate) async fn submit(&self, request: SubmitRequest) -> SubmitReply {
        self.engine.submit(request, None).await.unwrap()
    }

    /// A submission to lane `default` of kind `work`.
    pub(crate) async fn submit_work(&self) -> String {
        self.submit(work()).await.id
    }

    pub(crate) async fn lease(&self, max: u32) -> Vec<Lease> {
        self.engine.lease(claim(max), None).await.unwrap().leases
    }

    /// The one lease there is.
    pub(crate) async fn lease_one(&self) -> Lease {
        let mut leases = self.lease(1).await;
        leases.pop().expect("there is work")
    }

    pub(crate) async fn complete(&self, lease: &Lease, output: &str) -> Result<EndReply, Problem> {
        self.engine.complete(&lease.lease, CompleteRequest::new(json(output))).await
    }

    pub(crate) async fn fail(&self, lease: &Lease) -> Result<EndReply, Problem> {
        self.engine.fail(&lease.lease, FailRequest::new(Failure::new("broken", "it broke"))).await
    }

    pub(crate) async fn state(&self, id: &str) -> ExecutionState {
        self.engine.execution("default", id).await.unwrap().state
    }

    pub(crate) async fn result(&self, id: &str) -> ResultReply {
        self.engine.result("default", id, 0).await.unwrap()
    }

    /// What an execution waits for, in words for programs.
    pub(crate) async fn why(&self, id: &str) -> Vec<String> {
        let why = self.engine.why("default", id).await.unwrap();
        why.waiting_for.into_iter().map(|waiting| waiting.reason).collect()
    }
}

async fn open(store: &MemoryStore) -> Engine {
    let config = EngineConfig { seed: Some(7), ..EngineConfig::default() };
    let engine = Engine::open(Arc::new(store.clone()), config).await.unwrap();
    engine.opened().await;
    engine
}

/// A worker that speaks by exchange.
pub(crate) struct Worker {
    pub(crate) engine: Engine,
    pub(crate) request: ExchangeRequest,
}

impl Worker {
    pub(crate) fn new(bed: &Bed, session: &str) -> Self {
        let worker =
            SessionWorker { name: session.into(), session: session.into(), ..SessionWorker::default() };
        let request = ExchangeRequest {
            worker,
            n: 0,
            lanes: vec!["default".into()],
            max: 1,
            ..ExchangeRequest::default()
        };
        Self { engine: bed.engine.clone(), request }
    }

    /// The next exchange, with what `say` adds to it.
    pub(crate) async fn exchange(
        &mut self,
        say: impl FnOnce(&mut ExchangeRequest),
    ) -> Result<ExchangeReply, Problem> {
        let request = self.next(say);
        let reply = self.engine.exchange(request).await?;
        self.request.seen = reply.n;
        Ok(reply)
    }

    /// The next exchange, to be sent by the caller.
    pub(crate) fn next(&mut self, say: impl FnOnce(&mut ExchangeRequest)) -> ExchangeRequest {
        self.request.n += 1;
        let mut request = self.request.clone();
        say(&mut request);
        request
    }
}

pub(crate) fn work() -> SubmitRequest {
    SubmitRequest::new("work", json("{}"))
}

pub(crate) fn claim(max: u32) -> LeaseRequest {
    let worker = WorkerRef { name: "worker-1".into(), ..WorkerRef::default() };
    LeaseRequest { worker, lanes: vec!["default".into()], max, ..LeaseRequest::default() }
}

pub(crate) fn json(text: &str) -> Payload {
    serde_json::from_str(text).unwrap()
}

/// Lets virtual time pass.
pub(crate) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
