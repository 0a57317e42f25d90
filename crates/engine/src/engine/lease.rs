//! Plain claims, and what is done under a lease: every part of an exchange as a call of its own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use stint_api::{
    CompleteRequest, DEFAULT_NAMESPACE, EndReply, FailRequest, HeartbeatReply, HeartbeatRequest, LeaseReply,
    LeaseRequest, Outcome as End, Problem, ReleaseRequest, RequestKey, StepReply, StepRequest,
    StepResultRequest, SuspendedRequest,
};
use stint_core::command::{BeginStep, Heartbeat, Outcome, RecordStep};
use stint_core::model::Worker;
use stint_core::{Command, LeaseRef};
use tokio::time::{Instant, timeout_at};

use super::{Engine, Inner};
use crate::edge::lease::{filter, fitting, lease, ms, stop};
use crate::edge::problem::{draining, lease_ref, unexpected};
use crate::edge::{payload, view};
use crate::exchange::said;
use crate::hub::{GrantedLease, Wanted};
use crate::workers;

impl Engine {
    /// Leases work; waits for it if there is none and the request says so. Repeated under the same key it is answered
    /// with the leases it was given.
    pub async fn lease(&self, request: LeaseRequest, key: Option<RequestKey>) -> Result<LeaseReply, Problem> {
        request.validate()?;
        let inner = &*self.0;
        if inner.is_draining() {
            return Err(draining());
        }
        let until = Instant::now() + Duration::from_millis(request.wait_ms);
        let (wanted, _call) = inner.wanted(&request);
        let (namespace, name) = (wanted.filter.namespace.clone(), request.worker.name.as_str());
        let leases = match key {
            Some(key) => inner.lease_once(&key, wanted, until).await,
            None => inner.claim(wanted, until).await,
        };
        let (leases, beyond) = fitting(leases);
        inner.give_back(beyond.into_iter().map(|granted| granted.grant.lease));
        let drain = inner.workers.drains(&namespace, name).now_or_never().is_some();
        Ok(LeaseReply { leases: leases.into_iter().map(lease).collect(), drain })
    }

    /// Keeps a lease.
    pub async fn heartbeat(&self, lease: &str, request: HeartbeatRequest) -> Result<HeartbeatReply, Problem> {
        request.validate()?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        let progress = request.progress.map(view::kept_progress);
        match self.0.under(lease, Command::Heartbeat(Heartbeat { lease, progress })).await? {
            Outcome::Renewed(renewal) => {
                Ok(HeartbeatReply { ttl_ms: ms(renewal.ttl_ms), stop: renewal.stop.as_ref().map(stop) })
            }
            _ => Err(unexpected()),
        }
    }

    /// Ends an attempt, and its execution, with an output.
    pub async fn complete(&self, lease: &str, request: CompleteRequest) -> Result<EndReply, Problem> {
        request.validate(&self.0.limits)?;
        let namespace = request.namespace.clone();
        self.0.end(lease, namespace.as_deref(), End::Complete(request)).await
    }

    /// Ends an attempt with an error.
    pub async fn fail(&self, lease: &str, request: FailRequest) -> Result<EndReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.clone();
        self.0.end(lease, namespace.as_deref(), End::Fail(request)).await
    }

    /// Gives a lease back unused.
    pub async fn release(&self, lease: &str, request: ReleaseRequest) -> Result<EndReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.clone();
        self.0.end(lease, namespace.as_deref(), End::Release(request)).await
    }

    /// Parks an attempt that its budget asked to stop: it goes on from its journal when there is money again.
    pub async fn suspended(&self, lease: &str, request: SuspendedRequest) -> Result<EndReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.clone();
        self.0.end(lease, namespace.as_deref(), End::Suspended(request)).await
    }

    /// Asks for a journaled step: its result, or to run it.
    pub async fn begin_step(&self, lease: &str, request: StepRequest) -> Result<StepReply, Problem> {
        request.validate()?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        said::step(self.0.under(lease, Command::BeginStep(BeginStep { lease, key: request.key })).await?)
    }

    /// Journals a step's result.
    pub async fn record_step(
        &self,
        lease: &str,
        key: &str,
        request: StepResultRequest,
    ) -> Result<EndReply, Problem> {
        request.validate(key, &self.0.limits)?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        let record = RecordStep { lease, key: key.to_owned(), output: payload::kept(request.output) };
        said::recorded(self.0.under(lease, Command::RecordStep(record)).await?)
    }
}

impl Inner {
    /// What a plain claim asks for, and that its worker was heard; its call ends with what this gives.
    fn wanted(&self, request: &LeaseRequest) -> (Wanted, workers::Call<'_>) {
        let worker = &request.worker;
        let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let filter = Arc::new(filter(namespace, &request.lanes, &request.kinds, &worker.capabilities));
        let heard = workers::Heard {
            name: &worker.name,
            session: None,
            version: worker.version.as_deref(),
            capabilities: &worker.capabilities,
            slots: request.max,
            draining: false,
        };
        let call = self.workers.heard(&heard, &filter, self.node.now());
        let worker = Worker { name: worker.name.as_str().into(), session: 0 };
        (Wanted { token: self.token(), worker, filter, max: request.max as usize }, call)
    }

    /// Claims leases, and waits for them; a worker that drains gets none.
    pub(super) async fn claim(&self, wanted: Wanted, until: Instant) -> Vec<GrantedLease> {
        let (namespace, name) = (wanted.filter.namespace.clone(), wanted.worker.name.clone());
        let mut drains = pin!(self.workers.drains(&namespace, &name));
        if drains.as_mut().now_or_never().is_some() {
            // Whoever asks again and again must not be answered at once every time.
            _ = timeout_at(until, self.drains()).await;
            return Vec::new();
        }
        let parked = self.hub.park(wanted);
        let watch = parked.watch();
        tokio::select! {
            biased;
            // Dropped, the claim gives back what it was given.
            () = drains => Vec::new(),
            _ = timeout_at(until, watch.answerable()) => parked.settle().await,
        }
    }

    /// A lease that a request names. One of another namespace than the request's is not there.
    pub(super) async fn leased(&self, text: &str, namespace: Option<&str>) -> Result<LeaseRef, Problem> {
        let lease = lease_ref(text)?;
        if let Some(namespace) = namespace {
            self.peek(namespace, lease.execution).await?;
        }
        Ok(lease)
    }

    async fn end(&self, lease: &str, namespace: Option<&str>, outcome: End) -> Result<EndReply, Problem> {
        let lease = self.leased(lease, namespace).await?;
        let outcome = self.under(lease, said::end(lease, outcome)).await?;
        let mut end = said::ended(outcome)?;
        self.add_prospect(lease.execution, &mut end).await;
        Ok(end)
    }

    async fn under(&self, lease: LeaseRef, command: Command) -> Result<Outcome, Problem> {
        self.call(lease.execution.partition(), command).await
    }
}
