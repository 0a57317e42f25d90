//! Work comes in.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use stint_api::{
    BatchReply, BatchRequest, BatchResult, DEFAULT_NAMESPACE, ExecutionState, Problem, RequestKey,
    SubmitReply, SubmitRequest,
};
use stint_core::command::{Outcome, Submission, Submit, Submitted};
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
        let item = inner.place(request, namespace, key.as_ref(), 0, None)?;
        let partition = item.id.partition();
        match inner.call(partition, Command::Submit(Submit { items: vec![item] })).await? {
            Outcome::Submitted(mut results) => match results.pop() {
                Some(result) => result.map(reply).map_err(refused),
                None => Err(unexpected()),
            },
            _ => Err(unexpected()),
        }
    }

    /// Accepts up to 1,000 executions, all or nothing per partition, with a result for each.
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
        let mut parts: BTreeMap<PartitionId, Vec<(usize, Submission)>> = BTreeMap::new();
        // Those without a key go together: one batch, one commit.
        let together = inner.open.next();
        for (index, execution) in request.executions.into_iter().enumerate() {
            let name = execution.namespace.clone().unwrap_or_else(|| default.clone());
            let namespace = names.entry(name).or_insert_with_key(|name| namespace(name)).clone();
            let item = inner
                .place(execution, namespace, key.as_ref(), index, Some(together))
                .map_err(|problem| problem.within(format_args!("executions[{index}]")))?;
            parts.entry(item.id.partition()).or_default().push((index, item));
        }
        let calls = parts.into_iter().map(|(partition, part)| inner.submit_part(partition, part));
        let mut results: BTreeMap<usize, Result<SubmitReply, Problem>> =
            join_all(calls).await.into_iter().flatten().collect();
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
        part: Vec<(usize, Submission)>,
    ) -> Vec<(usize, Result<SubmitReply, Problem>)> {
        let (places, items): (Vec<usize>, Vec<Submission>) = part.into_iter().unzip();
        let results: Vec<Result<SubmitReply, Problem>> =
            match self.call(partition, Command::Submit(Submit { items })).await {
                Ok(Outcome::Submitted(results)) => results
                    .into_iter()
                    .map(|result: Result<Submitted, Refusal>| result.map(reply).map_err(refused))
                    .collect(),
                Ok(_) => vec![Err(unexpected()); places.len()],
                Err(problem) => vec![Err(problem); places.len()],
            };
        places.into_iter().zip(results).collect()
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
    let Submitted { id, state, existed, trimmed } = submitted;
    let state = if trimmed { ExecutionState::Trimmed } else { view::state(state) };
    SubmitReply { id: id.to_string(), state, existed }
}
