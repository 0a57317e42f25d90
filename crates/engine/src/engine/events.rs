//! An execution's events: those that are kept, and those to come.

use std::fmt;
use std::sync::Arc;

use stint_api::{EventsReply, ExecutionEvent, Problem, check_namespace};
use stint_core::command::{Outcome, Peek};
use stint_core::model::Execution;
use stint_core::{Command, ExecutionId};

use super::{Engine, Inner};
use crate::edge::happened::{Place, since};
use crate::edge::problem::{execution_id, unexpected};
use crate::waiters::Watched;

/// An execution's events as they happen, until its end. Dropping it frees everything.
pub struct EventStream {
    engine: Arc<Inner>,
    namespace: String,
    id: ExecutionId,
    watched: Watched,
    /// Behind what was given out or is about to be.
    after: Option<Place>,
    ready: Vec<ExecutionEvent>,
    ended: bool,
}

impl Engine {
    /// What is kept of an execution's events.
    pub async fn events(&self, namespace: &str, id: &str) -> Result<EventsReply, Problem> {
        check_namespace(namespace)?;
        let execution = self.0.peek(namespace, execution_id(id)?).await?;
        Ok(EventsReply { events: since(&execution, &mut None) })
    }

    /// An execution's events behind a cursor, first those that are kept, then each as soon as it is committed. It ends
    /// behind the event that ends the execution.
    pub async fn follow(
        &self,
        namespace: &str,
        id: &str,
        after: Option<&str>,
    ) -> Result<EventStream, Problem> {
        check_namespace(namespace)?;
        let id = execution_id(id)?;
        let after = after.map(Place::parse).transpose()?;
        // What happens from here on wakes; what happened before is read.
        let watched = self.0.waiters.watch(id);
        let (engine, namespace) = (Arc::clone(&self.0), namespace.to_owned());
        let mut stream =
            EventStream { engine, namespace, id, watched, after, ready: Vec::new(), ended: false };
        stream.read().await?;
        Ok(stream)
    }

    /// How many executions are followed right now.
    pub fn followed(&self) -> usize {
        self.0.waiters.watched()
    }
}

impl EventStream {
    /// Waits for what happens next. `None`: the execution has ended, or the engine shuts down.
    pub async fn next(&mut self) -> Result<Option<Vec<ExecutionEvent>>, Problem> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Some(std::mem::take(&mut self.ready)));
            }
            if self.ended || self.engine.is_draining() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                () = self.watched.happened() => {}
                () = self.engine.drains() => return Ok(None),
            }
            if let Err(problem) = self.read().await {
                return if self.engine.is_draining() { Ok(None) } else { Err(problem) };
            }
        }
    }

    /// Whether the execution has ended and nothing is left to give out.
    pub fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    async fn read(&mut self) -> Result<(), Problem> {
        self.watched.seen();
        let execution = self.engine.peek(&self.namespace, self.id).await?;
        self.ended = execution.state().is_end();
        self.ready.extend(since(&execution, &mut self.after));
        Ok(())
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("execution", &self.id).finish_non_exhaustive()
    }
}

impl Inner {
    /// An execution's own record.
    pub(super) async fn peek(&self, namespace: &str, id: ExecutionId) -> Result<Execution, Problem> {
        let peek = Peek { namespace: namespace.to_owned(), id };
        match self.call(id.partition(), Command::Peek(peek)).await? {
            Outcome::Peeked(execution) => Ok(*execution),
            _ => Err(unexpected()),
        }
    }
}
