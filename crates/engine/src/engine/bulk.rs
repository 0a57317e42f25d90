//! Actions on many executions: a job in its partition says what is wanted and how far it has come; the node that began
//! it, or finds it after a start, finds page after page and acts on each execution by an ordinary command.
//!
//! A page that was under way when the node died is dealt with again. That changes nothing twice: what was done already
//! is found in another state, or is as it should be, and a replay is known by the job.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::stream::{self, StreamExt};
use stint_api::{
    BulkJob, BulkReply, BulkRequest, BulksReply, Code, DEFAULT_NAMESPACE, Problem, RequestKey,
    check_namespace,
};
use stint_core::command::{Act, Action, Bulk, BulkChange, Cancel, Outcome, Replay, Tag};
use stint_core::find::{Filter, Summary};
use stint_core::model::{self, BulkAction, BulkError, BulkState, BulkTally};
use stint_core::{BulkId, Command, ExecutionId, PARTITIONS, PartitionId, RequestId};

use super::{Engine, Inner};
use crate::backoff::pauses;
use crate::edge::problem::{draining, problem, unexpected};
use crate::edge::{bulk as edge, filter};
use crate::find::{self, Cursor};

/// Executions of one page, and so dealt with again after a crash at most.
const PAGE: usize = 200;

/// Executions acted on at the same time.
const AT_ONCE: usize = 32;

/// Jobs that this node works on.
#[derive(Debug, Default)]
pub(super) struct BulksUnderWay(Mutex<BTreeSet<BulkId>>);

impl BulksUnderWay {
    /// False if it is one of them already.
    fn begin(&self, id: BulkId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    fn end(&self, id: BulkId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Engine {
    /// Begins an action on all executions that a filter wants, once per request key; or only counts them.
    pub async fn begin_bulk(
        &self,
        request: BulkRequest,
        key: Option<RequestKey>,
    ) -> Result<BulkReply, Problem> {
        request.validate()?;
        if self.0.is_draining() {
            return Err(draining());
        }
        let namespace = request.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let action = edge::action(&request)?;
        let filter = Filter { only: action.only(), ..filter::wanted(&namespace, request.filter) };
        let (count, at_least) = super::find::count(&self.0.node, &Arc::new(filter.clone())).await?;
        if request.dry_run == Some(true) {
            return Ok(BulkReply { job: None, count, at_least });
        }
        let id = match key {
            Some(key) => BulkId::derived(format!("{namespace}\0{key}").as_bytes()),
            None => BulkId::derived(&self.0.node.random().to_be_bytes()),
        };
        let change = BulkChange::Start { action, filter, matched: count, at_least };
        let job = self.0.change_bulk(&namespace, id, change).await?;
        run(&self.0, &job);
        Ok(BulkReply { job: Some(id.to_string()), count: job.matched, at_least: job.at_least })
    }

    /// How far an action on many executions has come.
    pub async fn bulk(&self, namespace: &str, id: &str) -> Result<BulkJob, Problem> {
        check_namespace(namespace)?;
        let id = edge::id(id)?;
        let name = namespace.to_owned();
        let look = move |partition: &stint_core::Partition| partition.bulk(&name, id).cloned();
        let found = self.0.node.look(id.partition(), look).await.map_err(problem)?;
        found.map(edge::view).ok_or_else(|| Problem::new(Code::NotFound, format!("no bulk job {id}")))
    }

    /// Actions on many executions that run, and those that ended lately, newest first.
    pub async fn bulks(&self, namespace: &str) -> Result<BulksReply, Problem> {
        check_namespace(namespace)?;
        let mut jobs = Vec::new();
        for partition in PartitionId::all() {
            let name = namespace.to_owned();
            let look = move |partition: &stint_core::Partition| {
                partition.bulks().filter(|job| *job.filter.namespace == *name).cloned().collect::<Vec<_>>()
            };
            jobs.extend(self.0.node.look(partition, look).await.map_err(problem)?);
        }
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.started_at), job.id));
        Ok(BulksReply { jobs: jobs.into_iter().map(edge::view).collect() })
    }

    /// Ends an action on many executions behind the page that is under way.
    pub async fn stop_bulk(&self, namespace: &str, id: &str) -> Result<BulkJob, Problem> {
        check_namespace(namespace)?;
        let id = edge::id(id)?;
        self.0.change_bulk(namespace, id, BulkChange::Stop).await.map(edge::view)
    }
}

impl Inner {
    async fn change_bulk(
        &self,
        namespace: &str,
        id: BulkId,
        change: BulkChange,
    ) -> Result<model::BulkJob, Problem> {
        let bulk = Bulk { namespace: namespace.to_owned(), id, change };
        match self.call(id.partition(), Command::Bulk(bulk)).await? {
            Outcome::Bulk(job) => Ok(*job),
            _ => Err(unexpected()),
        }
    }

    /// Does the job's action to one execution; `None` if it can't be done now, such as while the store is away.
    async fn act_on(&self, job: &model::BulkJob, id: ExecutionId) -> Option<Result<(), Problem>> {
        let command = match self.command(job, id).await {
            Ok(command) => command,
            Err(problem) => return settled(Err(problem)),
        };
        settled(self.call(id.partition(), command).await.map(|_| ()))
    }

    async fn command(&self, job: &model::BulkJob, id: ExecutionId) -> Result<Command, Problem> {
        let namespace = job.filter.namespace.to_string();
        let act = |action| Command::Act(Act { namespace: namespace.clone(), id, action });
        Ok(match &job.action {
            BulkAction::Cancel { reason, grace_ms } => {
                let (reason, grace_ms) = (reason.clone(), *grace_ms);
                Command::Cancel(Cancel { namespace, id, reason, grace_ms })
            }
            BulkAction::Replay { from_step } => {
                let steps = match from_step {
                    Some(_) => self.journal(&namespace, id).await?,
                    None => Vec::new(),
                };
                let source = [&job.id.0[..], &id.0].concat();
                let request = Some(RequestId::derived(&source));
                Command::Replay(Replay { namespace, id, from_step: from_step.clone(), steps, request })
            }
            BulkAction::Priority(priority) => act(Action::Priority(*priority)),
            BulkAction::Pause => act(Action::Pause),
            BulkAction::Resume => act(Action::Resume),
            BulkAction::Revoke => act(Action::Revoke),
            BulkAction::Tag(tags) => Command::Tag(Tag { namespace, id, tags: tags.clone() }),
        })
    }

    /// A page, as soon as it can be had; `None` if the engine ends first.
    async fn page(
        &self,
        job: &model::BulkJob,
        filter: &Arc<Filter>,
    ) -> Option<(Vec<Summary>, Option<String>)> {
        let from = job.cursor.as_deref().and_then(|text| Cursor::decode(text, filter).ok());
        let mut pauses = pauses();
        loop {
            if self.is_draining() {
                return None;
            }
            match find::page(&self.node, filter, from, PAGE).await {
                Ok(found) => return Some((found.rows, found.next.map(|cursor| cursor.encode(filter)))),
                Err(error) => {
                    tracing::debug!(job = %job.id, ?error, "a bulk job waits for its next page");
                    pauses.wait().await;
                }
            }
        }
    }

    /// Deals with one execution; `None` if the engine ends first.
    async fn deal_with(&self, job: &model::BulkJob, id: ExecutionId) -> Option<Result<(), Problem>> {
        let mut pauses = pauses();
        loop {
            if self.is_draining() {
                return None;
            }
            if let Some(settled) = self.act_on(job, id).await {
                return Some(settled);
            }
            pauses.wait().await;
        }
    }
}

/// What an answer means for a job: done, refused for good, or to be tried again.
fn settled(answer: Result<(), Problem>) -> Option<Result<(), Problem>> {
    match &answer {
        Err(problem) => match problem.code {
            Code::Overloaded | Code::DiskFull | Code::StoreUnavailable | Code::Draining => None,
            _ => Some(answer),
        },
        Ok(()) => Some(answer),
    }
}

/// Whether an execution has only moved on since it was found.
fn has_moved_on(problem: &Problem) -> bool {
    matches!(
        problem.code,
        Code::NotFound | Code::ExecutionFinished | Code::ExecutionNotFinished | Code::WrongState
    ) && problem.field.is_none()
}

/// Works on a job in the background, unless that is being done.
fn run(inner: &Arc<Inner>, job: &model::BulkJob) {
    if job.state != BulkState::Running || !inner.bulks.begin(job.id) {
        return;
    }
    let (weak, mut job) = (Arc::downgrade(inner), job.clone());
    tokio::spawn(async move {
        let id = job.id;
        // The engine is held for a page at a time: it ends when nobody else holds it.
        while let Some(inner) = weak.upgrade() {
            match one_page(&inner, job).await {
                Some(next) if next.state == BulkState::Running => job = next,
                _ => {
                    inner.bulks.end(id);
                    break;
                }
            }
        }
    });
}

/// Deals with a page and commits how far that has brought the job, which is returned as it then stands.
async fn one_page(inner: &Inner, job: model::BulkJob) -> Option<model::BulkJob> {
    let filter = Arc::new(job.filter.clone());
    let (rows, to) = inner.page(&job, &filter).await?;
    let ids: Vec<ExecutionId> = rows.iter().map(|row| row.id).collect();
    let answers: Vec<_> =
        stream::iter(ids).map(|id| inner.deal_with(&job, id)).buffered(AT_ONCE).collect().await;
    let (mut tally, mut errors) = (BulkTally::default(), Vec::new());
    for (row, answer) in rows.iter().zip(answers) {
        match answer? {
            Ok(()) => tally.changed += 1,
            Err(problem) if has_moved_on(&problem) => tally.skipped += 1,
            Err(problem) => {
                tally.failed += 1;
                let code = problem.code.as_str().to_owned();
                errors.push(BulkError { execution: row.id.0, code, detail: problem.detail.into_owned() });
            }
        }
    }
    errors.truncate(model::BULK_ERRORS_MAX);
    let change = BulkChange::Advance { from: job.cursor.clone(), to, tally, errors };
    let mut pauses = pauses();
    loop {
        match inner.change_bulk(&job.filter.namespace, job.id, change.clone()).await {
            Ok(job) => return Some(job),
            Err(problem) if problem.code == Code::NotFound || inner.is_draining() => return None,
            Err(problem) => {
                tracing::debug!(job = %job.id, %problem, "a bulk job can't note how far it is");
                pauses.wait().await;
            }
        }
    }
}

/// Goes on with the jobs that are under way in the store, once all partitions are served.
pub(super) fn resume_all(inner: &Arc<Inner>) {
    let (weak, mut opening) = (Arc::downgrade(inner), inner.node.opening());
    tokio::spawn(async move {
        if opening.wait_for(|open| *open == u32::from(PARTITIONS)).await.is_err() {
            return;
        }
        for partition in PartitionId::all() {
            let Some(jobs) = running_in(&weak, partition).await else { return };
            let Some(inner) = weak.upgrade() else { return };
            jobs.iter().for_each(|job| run(&inner, job));
        }
    });
}

async fn running_in(weak: &Weak<Inner>, partition: PartitionId) -> Option<Vec<model::BulkJob>> {
    let mut pauses = pauses();
    loop {
        let inner = weak.upgrade().filter(|inner| !inner.is_draining())?;
        let look = |partition: &stint_core::Partition| {
            partition.bulks().filter(|job| job.state == BulkState::Running).cloned().collect()
        };
        match inner.node.look(partition, look).await {
            Ok(jobs) => return Some(jobs),
            Err(error) => tracing::debug!(?error, "bulk jobs can't be looked for"),
        }
        drop(inner);
        pauses.wait().await;
    }
}
