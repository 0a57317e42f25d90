//! What an operator does to one execution.

use stint_api::{
    ActionReply, CancelRequest, Code, PriorityRequest, Problem, ReplayRequest, RequestKey, TagRequest,
    check_namespace,
};
use stint_core::command::{Act, Action, Cancel, Outcome, Replay, Tag};
use stint_core::model::{State, StepRecord};
use stint_core::{Command, ExecutionId, Key, key};

use super::{Engine, Inner};
use crate::edge::problem::{execution_id, problem, unexpected};
use crate::edge::route::request_id;
use crate::edge::submission::millis;
use crate::edge::view;

/// Steps of one execution that a replay looks at.
const STEPS_MAX: usize = 1_000_000;

/// Steps of one read: their results are read with them, and dropped.
const STEPS_PAGE: usize = 100;

impl Engine {
    /// Stops an execution: at once, or when its worker has had the time to.
    pub async fn cancel(
        &self,
        namespace: &str,
        id: &str,
        request: CancelRequest,
    ) -> Result<ActionReply, Problem> {
        check_namespace(namespace)?;
        request.validate()?;
        let id = execution_id(id)?;
        let cancel = Cancel {
            namespace: namespace.to_owned(),
            id,
            reason: request.reason,
            grace_ms: request.grace_ms.map(millis),
        };
        self.0.acted(id, Command::Cancel(cancel)).await
    }

    /// Runs an ended execution again, keeping its journal, or dropping it from a step on; once per request key.
    pub async fn replay(
        &self,
        namespace: &str,
        id: &str,
        request: ReplayRequest,
        key: Option<RequestKey>,
    ) -> Result<ActionReply, Problem> {
        check_namespace(namespace)?;
        request.validate()?;
        let id = execution_id(id)?;
        let steps = match &request.from_step {
            Some(_) => self.0.journal(namespace, id).await?,
            None => Vec::new(),
        };
        let replay = Replay {
            namespace: namespace.to_owned(),
            id,
            from_step: request.from_step,
            steps,
            request: key.as_ref().map(request_id),
        };
        self.0.acted(id, Command::Replay(replay)).await
    }

    /// Changes an execution's priority.
    pub async fn set_priority(
        &self,
        namespace: &str,
        id: &str,
        request: PriorityRequest,
    ) -> Result<ActionReply, Problem> {
        request.validate()?;
        let priority = i8::try_from(request.priority)
            .map_err(|_| Problem::invalid("priority", "expected -100 to 100"))?;
        self.act(namespace, id, Action::Priority(priority)).await
    }

    /// Adds tags to an execution, open or ended, or gives them new values.
    pub async fn tag(&self, namespace: &str, id: &str, request: TagRequest) -> Result<ActionReply, Problem> {
        check_namespace(namespace)?;
        request.validate()?;
        let id = execution_id(id)?;
        let tags = request.tags.into_iter().collect();
        self.0.acted(id, Command::Tag(Tag { namespace: namespace.to_owned(), id, tags })).await
    }

    /// Holds an execution back until it is resumed.
    pub async fn pause(&self, namespace: &str, id: &str) -> Result<ActionReply, Problem> {
        self.act(namespace, id, Action::Pause).await
    }

    /// Lets a paused execution go on.
    pub async fn resume(&self, namespace: &str, id: &str) -> Result<ActionReply, Problem> {
        self.act(namespace, id, Action::Resume).await
    }

    /// Takes a running execution's lease: another attempt follows at once.
    pub async fn revoke(&self, namespace: &str, id: &str) -> Result<ActionReply, Problem> {
        self.act(namespace, id, Action::Revoke).await
    }

    async fn act(&self, namespace: &str, id: &str, action: Action) -> Result<ActionReply, Problem> {
        check_namespace(namespace)?;
        let id = execution_id(id)?;
        let act = Act { namespace: namespace.to_owned(), id, action };
        self.0.acted(id, Command::Act(act)).await
    }
}

impl Inner {
    /// Does something to an execution, and says how it stands then.
    async fn acted(&self, id: ExecutionId, command: Command) -> Result<ActionReply, Problem> {
        let Outcome::Acted(id, state) = self.call(id.partition(), command).await? else {
            return Err(unexpected());
        };
        // What is ready may not start all the same. It is done already, so without this the answer says a little less.
        let look = move |partition: &stint_core::Partition| partition.blocked_by(id);
        let blocked_by = match state {
            State::Ready => self.node.look(id.partition(), look).await.ok().flatten(),
            _ => None,
        };
        let state = view::seen_state(state, blocked_by.is_some());
        Ok(ActionReply { id: id.to_string(), state, reason: blocked_by.map(str::to_owned) })
    }

    /// All steps of an ended execution, without their results.
    pub(super) async fn journal(
        &self,
        namespace: &str,
        id: ExecutionId,
    ) -> Result<Vec<(String, StepRecord)>, Problem> {
        // Its answer leaves when all that it saw is committed, so the range sees all of the journal.
        if !self.peek(namespace, id).await?.state().is_end() {
            // The command says so, too; reading a long journal first would be for nothing.
            return Ok(Vec::new());
        }
        let mut from = key::steps(id);
        let to = after(&from);
        let first = from.bytes.len();
        let mut steps = Vec::new();
        while steps.len() < STEPS_MAX {
            let rows = self.node.range(id.partition(), from.clone(), to.clone(), STEPS_PAGE).await;
            let rows = rows.map_err(problem)?;
            let more = rows.len() == STEPS_PAGE;
            if let Some((last, _)) = rows.last() {
                from.bytes = [last, &[0][..]].concat().into();
            }
            for (key, value) in rows {
                let name = key.get(first..).and_then(|name| std::str::from_utf8(name).ok());
                let record = minicbor::decode::<StepRecord>(&value).ok();
                let (name, mut record) = name.zip(record).ok_or_else(unreadable)?;
                // Where it stands is all that a replay asks for: results may be as large as memory, all together.
                record.result = None;
                steps.push((name.to_owned(), record));
            }
            if !more {
                break;
            }
        }
        Ok(steps)
    }
}

fn unreadable() -> Problem {
    Problem::new(Code::Internal, "a step of this execution can't be read")
}

/// The end of the range of keys that begin with `prefix`, which is not all 0xFF.
pub(super) fn after(prefix: &Key) -> Key {
    let mut bytes = prefix.bytes.to_vec();
    while bytes.last() == Some(&0xFF) {
        bytes.pop();
    }
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    Key { table: prefix.table, bytes: bytes.into() }
}
