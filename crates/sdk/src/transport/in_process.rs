//! An engine in the same process: no server, no sockets, the same rules.

mod money;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use stint_api::{DEFAULT_NAMESPACE, RequestKey, WorkersReply};
use stint_engine::Engine;
use stint_engine::inspect::Wanted;

use super::{Action, ByteStream, EventStream, LaneAction, Reply, Request, SendError, Target, Transport};

/// Calls an engine directly.
#[derive(Clone)]
pub struct InProcess(Engine);

impl InProcess {
    /// A handle on this engine. The engine is not closed when it is dropped.
    pub fn new(engine: Engine) -> Self {
        Self(engine)
    }

    async fn call(&self, request: &Request, key: Option<&str>) -> Result<Reply, SendError> {
        let engine = &self.0;
        let key = key.map(RequestKey::parse).transpose()?;
        Ok(match request {
            Request::Submit(body) => Reply::Submitted(engine.submit((**body).clone(), key).await?),
            Request::SubmitBatch(body) => Reply::Batch(engine.submit_batch(body.clone(), key).await?),
            Request::Execution(of) => {
                Reply::Execution(Box::new(engine.execution(&of.namespace, &of.name).await?))
            }
            Request::Result { of, wait_ms } => {
                Reply::Result(engine.result(&of.namespace, &of.name, *wait_ms).await?)
            }
            Request::Why(of) => Reply::Why(engine.why(&of.namespace, &of.name).await?),
            Request::Cancel(..)
            | Request::Replay(..)
            | Request::SetPriority(..)
            | Request::Tag(..)
            | Request::Act(..) => self.act(request, key).await?,
            Request::Executions(request) => {
                Reply::Executions(boxed(engine.executions(request.clone())).await?)
            }
            Request::Count(request) => Reply::Count(boxed(engine.count(request.clone())).await?),
            Request::Events(of) => Reply::Events(boxed(engine.events(&of.namespace, &of.name)).await?),
            Request::Steps(of, page) => {
                let (limit, cursor) = (page.limit, page.cursor.as_deref());
                Reply::Steps(boxed(engine.steps(&of.namespace, &of.name, limit, cursor)).await?)
            }
            Request::Logs { of, attempt, page } => {
                let (limit, cursor) = (page.limit, page.cursor.as_deref());
                Reply::Logs(boxed(engine.logs(&of.namespace, &of.name, *attempt, limit, cursor)).await?)
            }
            Request::BeginBulk(body) => Reply::BulkBegun(boxed(engine.begin_bulk(body.clone(), key)).await?),
            Request::Bulk(of) => Reply::Bulk(Box::new(boxed(engine.bulk(&of.namespace, &of.name)).await?)),
            Request::Bulks { namespace } => Reply::Bulks(boxed(engine.bulks(namespace)).await?),
            Request::StopBulk(of) => {
                Reply::Bulk(Box::new(boxed(engine.stop_bulk(&of.namespace, &of.name)).await?))
            }
            Request::Lanes { namespace, page } => {
                let (limit, cursor) = (page.limit, page.cursor.as_deref());
                Reply::Lanes(boxed(engine.lanes(namespace, limit, cursor)).await?)
            }
            Request::Lane(of) => Reply::Lane(Box::new(engine.lane(&of.namespace, &of.name).await?)),
            Request::SetLane(..) | Request::ActOnLane(..) => self.act_on_lane(request).await?,
            Request::Namespace(name) => Reply::Namespace(boxed(engine.namespace(name)).await?),
            Request::SetNamespace(name, body) => {
                Reply::NamespaceChanged(boxed(engine.set_namespace(name, body.clone())).await?)
            }
            Request::Lease(body) => Reply::Leases(engine.lease(body.clone(), key).await?),
            Request::Heartbeat(lease, body) => Reply::Heartbeat(engine.heartbeat(lease, body.clone()).await?),
            Request::Complete(lease, body) => Reply::Ended(engine.complete(lease, body.clone()).await?),
            Request::Fail(lease, body) => Reply::Ended(engine.fail(lease, body.clone()).await?),
            Request::Release(lease, body) => Reply::Ended(engine.release(lease, body.clone()).await?),
            Request::BeginStep(lease, body) => Reply::Step(engine.begin_step(lease, body.clone()).await?),
            Request::RecordStep { lease, key, request } => {
                Reply::Ended(engine.record_step(lease, key, request.clone()).await?)
            }
            Request::Log(lease, body) => Reply::Logged(boxed(engine.log(lease, body.clone(), key)).await?),
            Request::Money(of) => boxed(money::call(engine, of)).await?,
            Request::Exchange(body) => Reply::Exchange(Box::new(engine.exchange((**body).clone()).await?)),
            Request::Workers { namespace } => {
                Reply::Workers(WorkersReply { workers: boxed(engine.workers(namespace)).await? })
            }
            Request::DrainWorker(id, body) => {
                let namespace = body.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
                Reply::Worker(boxed(engine.drain_worker(namespace, id)).await?)
            }
            Request::Ready => Reply::Ready(engine.ready()?),
            Request::Doctor => Reply::Doctor(boxed(engine.doctor()).await),
            Request::Store { partition, records } => {
                let wanted = Wanted { partition: *partition, records: *records };
                Reply::Store(Box::new(boxed(engine.store(wanted)).await?))
            }
        })
    }

    async fn act(&self, request: &Request, key: Option<RequestKey>) -> Result<Reply, SendError> {
        let engine = &self.0;
        let namespace =
            |namespace: &Option<String>| namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let acted = match request {
            Request::Cancel(id, body) => engine.cancel(&namespace(&body.namespace), id, body.clone()).await?,
            Request::Replay(id, body) => {
                engine.replay(&namespace(&body.namespace), id, body.clone(), key).await?
            }
            Request::SetPriority(id, body) => {
                engine.set_priority(&namespace(&body.namespace), id, body.clone()).await?
            }
            Request::Tag(id, body) => engine.tag(&namespace(&body.namespace), id, body.clone()).await?,
            Request::Act(action, id, body) => {
                let namespace = namespace(&body.namespace);
                match action {
                    Action::Pause => engine.pause(&namespace, id).await?,
                    Action::Resume => engine.resume(&namespace, id).await?,
                    Action::Revoke => engine.revoke(&namespace, id).await?,
                }
            }
            other => return Err(SendError::Garbled(format!("{other:?} is no action"))),
        };
        Ok(Reply::Acted(acted))
    }

    async fn act_on_lane(&self, request: &Request) -> Result<Reply, SendError> {
        let engine = &self.0;
        let changed = match request {
            Request::SetLane(name, body) => {
                let namespace = body.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
                engine.set_lane(&namespace, name, body.clone()).await?
            }
            Request::ActOnLane(action, of) => match action {
                LaneAction::Pause => engine.pause_lane(&of.namespace, &of.name).await?,
                LaneAction::Resume => engine.resume_lane(&of.namespace, &of.name).await?,
                LaneAction::Drain => engine.drain_lane(&of.namespace, &of.name).await?,
            },
            other => return Err(SendError::Garbled(format!("{other:?} is no change of a lane"))),
        };
        Ok(Reply::LaneChanged(Box::new(changed)))
    }
}

impl Transport for InProcess {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.call(request, key))
    }

    fn follow<'a>(
        &'a self,
        of: &'a Target,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<EventStream, SendError>> {
        Box::pin(async move {
            let events = self.0.follow(&of.namespace, &of.name, after).await?;
            let next = async |mut events: stint_engine::EventStream| {
                let batch = events.next().await.map_err(SendError::Refused)?;
                let batch = batch.map(|batch| stream::iter(batch.into_iter().map(Ok::<_, SendError>)));
                Ok::<_, SendError>(batch.map(|batch| (batch, events)))
            };
            let all: EventStream = Box::pin(stream::try_unfold(events, next).try_flatten());
            Ok(all)
        })
    }

    fn backup(&self) -> BoxFuture<'_, Result<ByteStream, SendError>> {
        Box::pin(async {
            let backup = self.0.backup()?;
            let pieces: ByteStream =
                Box::pin(stream::unfold(backup, async |mut backup| Some((Ok(backup.next().await?), backup))));
            Ok(pieces)
        })
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

/// A future of the engine whose borrows the compiler loses sight of in a larger one.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}
