//! Work comes in.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use stint_api::{
    BatchReply, BatchRequest, BatchResult, Code, DEFAULT_NAMESPACE, ExecutionState, Problem, RequestKey,
    SubmitReply, SubmitRequest,
};
use stint_core::command::{Outcome, Shown, Submission, Submit, Submitted};
use stint_core::model::Payload;
use stint_core::{Command, ExecutionId, PartitionId, Refusal};

use super::{Engine, Inner};
use crate::edge::problem::{refused, unexpected};
use crate::edge::route::derived_id;
use crate::edge::submission::{key_of, submission};
use crate::edge::view;

impl Engine {
    /// Accepts an execution, once per request key and per idempotency key.
    pub async fn submit(
        &self,
        request: SubmitRequest,
        key: Option<RequestKey>,
    ) -> Result<SubmitReply, Problem> {
        let inner = &*self.0;
        request.validate(&inner.limits)?;
        let _under_way = inner.open.enter(1);
        let namespace = namespace(request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE));
        let able = inner.check_uses(&[(&namespace, &request.budgets)]).await.pop();
        let mut item = inner.place(request, namespace, key.as_ref(), 0, None)?;
        let unable = able.and_then(Result::err);
        item.known_only = unable.is_some();
        let partition = item.id.partition();
        let mut results = inner.submit_part(partition, vec![Placed { place: 0, item, unable }]).await;
        results.pop().map_or_else(|| Err(unexpected()), |(_, result)| result)
    }

    /// Accepts up to 1,000 executions, with a result for each. Those of one partition are committed together; one that is
    /// refused leaves the others as they are.
    pub async fn submit_batch(
        &self,
        request: BatchRequest,
        key: Option<RequestKey>,
    ) -> Result<BatchReply, Problem> {
        let inner = &*self.0;
        request.validate(&inner.limits)?;
        let count = request.executions.len();
        let _under_way = inner.open.enter(count);
        let mut names = BTreeMap::new();
        let default = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let mut parts: BTreeMap<PartitionId, Vec<Placed>> = BTreeMap::new();
        // Those without a key go together: one batch, one commit.
        let together = inner.open.next();
        let named: Vec<_> = request
            .executions
            .iter()
            .map(|execution| {
                (execution.namespace.as_deref().unwrap_or(&default), execution.budgets.as_slice())
            })
            .collect();
        let able = inner.check_uses(&named).await;
        let mut results: BTreeMap<usize, Result<SubmitReply, Problem>> = BTreeMap::new();
        for ((index, execution), able) in request.executions.into_iter().enumerate().zip(able) {
            let name = execution.namespace.clone().unwrap_or_else(|| default.clone());
            let namespace = names.entry(name).or_insert_with_key(|name| namespace(name)).clone();
            let mut item = inner
                .place(execution, namespace, key.as_ref(), index, Some(together))
                .map_err(|problem| problem.within(format_args!("executions[{index}]")))?;
            let unable = able.err();
            item.known_only = unable.is_some();
            parts.entry(item.id.partition()).or_default().push(Placed { place: index, item, unable });
        }
        let calls = parts.into_iter().map(|(partition, part)| inner.submit_part(partition, part));
        results.extend(join_all(calls).await.into_iter().flatten());
        if results.values().all(is_for_all)
            && let Some((_, Err(problem))) = results.pop_first()
        {
            // Nothing was taken, for a reason that is not theirs: the request as a whole may be sent again.
            return Err(problem);
        }
        let results = results
            .into_iter()
            .map(|(index, result)| match result {
                Ok(reply) => BatchResult::Submitted(reply),
                Err(problem) => {
                    BatchResult::Refused { error: problem.within(format_args!("executions[{index}]")) }
                }
            })
            .collect();
        Ok(BatchReply { results })
    }
}

/// A submission, by its place among those of its request.
struct Placed {
    place: usize,
    item: Submission,
    /// Why it can't be taken, unless it was before: its budget may be gone or lower since.
    unable: Option<Problem>,
}

impl Inner {
    /// Gives a submission its partition and its id: those of its own key, else those that follow from the request's,
    /// else fresh ones in an open partition.
    fn place(
        &self,
        request: SubmitRequest,
        namespace: Arc<str>,
        key: Option<&RequestKey>,
        index: usize,
        together: Option<PartitionId>,
    ) -> Result<Submission, Problem> {
        if let Some(own) = key_of(&request, &namespace) {
            let id = self.fresh(PartitionId::of(&own.0));
            return submission(request, namespace, id, false, Some(own));
        }
        let (id, derived) = match key {
            Some(key) => (derived_id(key, &namespace, index), true),
            None => (self.fresh(together.unwrap_or_else(|| self.open.next())), false),
        };
        submission(request, namespace, id, derived, None)
    }

    fn fresh(&self, partition: PartitionId) -> ExecutionId {
        ExecutionId::fresh(self.node.now(), partition, self.node.random())
    }

    async fn submit_part(
        &self,
        partition: PartitionId,
        part: Vec<Placed>,
    ) -> Vec<(usize, Result<SubmitReply, Problem>)> {
        let (mut places, mut items, mut unables) = (Vec::new(), Vec::new(), Vec::new());
        for Placed { place, item, unable } in part {
            places.push(place);
            items.push(item);
            unables.push(unable);
        }
        let likenesses: Vec<Option<Likeness>> = items.iter().map(Likeness::of).collect();
        let results = match self.call(partition, Command::Submit(Submit { items })).await {
            Ok(Outcome::Submitted(results)) => results,
            Ok(_) => return places.into_iter().map(|place| (place, Err(unexpected()))).collect(),
            Err(problem) => return places.into_iter().map(|place| (place, Err(problem.clone()))).collect(),
        };
        let mut replies = Vec::with_capacity(places.len());
        for (((place, likeness), unable), result) in
            places.into_iter().zip(likenesses).zip(unables).zip(results)
        {
            let replied = match (result, likeness) {
                (Err(Refusal::NotFound(_)), _) if unable.is_some() => {
                    unable.map_or_else(|| Err(unexpected()), Err)
                }
                (Ok(found), Some(likeness)) if found.existed && !found.trimmed => {
                    self.same(found, &likeness).await
                }
                (result, _) => result.map(reply).map_err(refused),
            };
            replies.push((place, replied));
        }
        replies
    }

    /// The answer for an execution that a request of this key has made before, unless it was another request.
    async fn same(&self, found: Submitted, likeness: &Likeness) -> Result<SubmitReply, Problem> {
        let shown = self.show(None, found.id, false).await?;
        if likeness.matches(&shown) {
            return Ok(reply(found));
        }
        let detail = format!("the Idempotency-Key stands for {}, which another request has made", found.id);
        Err(Problem::new(Code::IdempotencyConflict, detail).at("Idempotency-Key"))
    }
}

/// What tells apart two requests under one request key. There is no record of the first but the execution it made, so
/// what may have changed since, such as its priority, does not count.
struct Likeness {
    kind: Arc<str>,
    lane: Arc<str>,
    input: Payload,
}

impl Likeness {
    fn of(item: &Submission) -> Option<Self> {
        item.derived.then(|| Self {
            kind: item.kind.clone(),
            lane: item.lane.clone(),
            input: item.input.clone(),
        })
    }

    fn matches(&self, shown: &Shown) -> bool {
        let (group, kept) = (&shown.execution.group, &shown.spec.input);
        let same_input = match (&kept.inline, kept.apart) {
            (Some(bytes), _) => *bytes == self.input.bytes,
            (None, Some(length)) => {
                usize::try_from(length).is_ok_and(|length| length == self.input.bytes.len())
            }
            (None, None) => self.input.bytes.is_empty(),
        };
        group.kind == self.kind
            && group.lane == self.lane
            && same_input
            && kept.content_type == self.input.content_type
    }
}

/// Whether a submission failed for a reason that the request as a whole has.
fn is_for_all(result: &Result<SubmitReply, Problem>) -> bool {
    result.as_ref().is_err_and(|problem| problem.status() >= 500)
}

fn namespace(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn reply(submitted: Submitted) -> SubmitReply {
    let Submitted { id, state, existed, trimmed, blocked_by } = submitted;
    let seen = view::seen_state(state, blocked_by.is_some());
    let state = if trimmed { ExecutionState::Trimmed } else { seen };
    SubmitReply { id: id.to_string(), state, reason: blocked_by.map(str::to_owned), existed }
}
