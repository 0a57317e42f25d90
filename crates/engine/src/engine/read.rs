//! Executions, results, and why they wait.

use std::time::Duration;

use stint_api::{Execution, Problem, ResultReply, WAIT_MS, WhyReply, check_namespace};
use stint_core::command::{
    AHEAD_MAX, Outcome, Place, Reason, Show, ShowPlace, Shown, Why, WhyAnswer, budget_home,
};
use stint_core::model::Ask;
use stint_core::{Command, ExecutionId, PartitionId};
use tokio::time::Instant;

use super::lanes::COUNTS;
use super::{Engine, Inner};
use crate::edge::problem::{execution_id, unexpected};
use crate::edge::{view, why};

impl Engine {
    /// Shows an execution, without its input and output.
    pub async fn execution(&self, namespace: &str, id: &str) -> Result<Execution, Problem> {
        check_namespace(namespace)?;
        self.0.show(Some(namespace), execution_id(id)?, false).await.map(view::execution)
    }

    /// What an execution gave; waits up to `wait_ms` for its end.
    pub async fn result(&self, namespace: &str, id: &str, wait_ms: u64) -> Result<ResultReply, Problem> {
        check_namespace(namespace)?;
        let id = execution_id(id)?;
        if wait_ms > WAIT_MS {
            let detail = format!("{wait_ms} is out of range, expected 0 to {WAIT_MS}");
            return Err(Problem::invalid("wait_ms", detail));
        }
        let until = Instant::now() + Duration::from_millis(wait_ms);
        let wait = self.0.waiters.wait_for_end(id);
        loop {
            // What ends from here on is heard; what ended before is shown.
            let ended = wait.ended();
            let shown = self.0.show(Some(namespace), id, true).await?;
            if shown.execution.state().is_end() || until <= Instant::now() {
                return Ok(view::result(&shown));
            }
            tokio::select! {
                biased;
                () = ended => {}
                () = self.0.drains() => return Ok(view::result(&shown)),
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Explains what an execution waits for.
    pub async fn why(&self, namespace: &str, id: &str) -> Result<WhyReply, Problem> {
        check_namespace(namespace)?;
        let id = execution_id(id)?;
        let command = Command::Why(Why { namespace: namespace.to_owned(), id });
        match self.0.call(id.partition(), command).await? {
            Outcome::Why(answer) => {
                let place = self.0.place_of(namespace, &answer).await;
                Ok(why::reply(*answer, place.as_ref(), &self.0.workers))
            }
            _ => Err(unexpected()),
        }
    }
}

impl Inner {
    /// Where an execution stands among those who wait for its budget: in the tree's queue, or before they have asked, in
    /// any partition. None if it waits for no budget, or its tree does not say.
    async fn place_of(&self, namespace: &str, answer: &WhyAnswer) -> Option<Place> {
        let waits = |reason: &Reason| match reason {
            Reason::Budget { path, key, ask, .. } => {
                let show = ShowPlace { key: *key, ask: Ask::clone(ask) };
                Some((budget_home(namespace, path), show))
            }
            _ => None,
        };
        let (home, show) = answer.reasons.iter().find_map(waits)?;
        let Ok(Outcome::Place(mut place)) = self.call(home, Command::ShowPlace(show)).await else {
            return None;
        };
        let execution = answer.execution.clone();
        let look = move |partition: &stint_core::Partition| partition.wanting_before(&execution, AHEAD_MAX);
        let all = PartitionId::all().collect();
        for (_, wanting) in self.look_at(&all, look, Instant::now() + COUNTS).await {
            place.ahead = place.ahead.saturating_add(wanting);
        }
        Some(place)
    }

    /// An execution, of one namespace or of any.
    pub(super) async fn show(
        &self,
        namespace: Option<&str>,
        id: ExecutionId,
        output: bool,
    ) -> Result<Shown, Problem> {
        let command = Command::Show(Show { namespace: namespace.map(str::to_owned), id, output });
        match self.call(id.partition(), command).await? {
            Outcome::Shown(shown) => Ok(*shown),
            _ => Err(unexpected()),
        }
    }
}
