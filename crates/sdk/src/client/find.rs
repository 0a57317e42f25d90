//! Finding executions, and what hangs on them.

use stint_api::{
    CountReply, CountRequest, ExecutionEvent, ExecutionFilter, ExecutionSummary, Lane, ListReply,
    ListRequest, LogLine, StepView,
};

use super::{Client, Items};
use crate::Error;
use crate::transport::{Page, Request};

impl Client {
    /// Executions that a filter wants: open ones first, newest submission first, then ended ones, newest end first.
    /// Pages are fetched as they are needed.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// use stint::api::{ExecutionFilter, ExecutionState};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// client.submit(Submission::new("mail").tag("customer", "ada")).await?;
    /// let ready = ExecutionFilter {
    ///     state: Some(ExecutionState::Ready),
    ///     tags: [("customer".to_owned(), "ada".to_owned())].into(),
    ///     ..ExecutionFilter::default()
    /// };
    /// assert_eq!(client.count(ready.clone()).await?.count, 1);
    /// let mut found = client.list(ready);
    /// while let Some(execution) = found.next().await {
    ///     println!("{}", execution?.id);
    /// }
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, filter: ExecutionFilter) -> Items<ExecutionSummary> {
        let client = self.clone();
        Items::paged(move |cursor| {
            let (client, filter) = (client.clone(), filter.clone());
            async move {
                let request = ListRequest { filter, cursor, ..ListRequest::default() };
                let page = client.executions(request).await?;
                Ok((page.executions, page.next_cursor))
            }
        })
    }

    /// One page of executions. It may be short, even empty, and still not be the last.
    ///
    /// ```
    /// # use stint::Embedded;
    /// use stint::api::ListRequest;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let page = client.executions(ListRequest { limit: Some(10), ..ListRequest::default() }).await?;
    /// assert!(page.executions.is_empty() && page.next_cursor.is_none());
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn executions(&self, mut request: ListRequest) -> Result<ListReply, Error> {
        self.own(&mut request.namespace);
        self.get(Request::Executions(request)).await
    }

    /// How many executions a filter wants. Counting stops at a bound, and then says so.
    pub async fn count(&self, filter: ExecutionFilter) -> Result<CountReply, Error> {
        self.get(Request::Count(CountRequest { filter, namespace: self.named() })).await
    }

    /// What is kept of an execution's events: its submission and the last hundred since, oldest first.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// client.cancel(&id, Default::default()).await?;
    /// let events = client.events(&id).await?;
    /// assert_eq!(events.last().map(|event| event.event.as_str()), Some("cancelled"));
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn events(&self, id: &str) -> Result<Vec<ExecutionEvent>, Error> {
        let reply: stint_api::EventsReply = self.get(Request::Events(self.target(id))).await?;
        Ok(reply.events)
    }

    /// An execution's journaled steps, by key.
    pub fn steps(&self, id: &str) -> Items<StepView> {
        let (client, of) = (self.clone(), self.target(id));
        Items::paged(move |cursor| {
            let (client, of) = (client.clone(), of.clone());
            async move {
                let page = Page { limit: None, cursor };
                let reply: stint_api::StepsReply = client.get(Request::Steps(of, page)).await?;
                Ok((reply.steps, reply.next_cursor))
            }
        })
    }

    /// Lines that an execution's attempts have logged, or that one of them has.
    ///
    /// ```
    /// # use stint::{Context, Embedded, Failure, Submission, Worker};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let worker = Worker::builder(&client)
    ///     .handler("talk", async |ctx: Context, (): ()| {
    ///         ctx.log("hello");
    ///         Ok::<_, Failure>(())
    ///     })
    ///     .build()?;
    /// # tokio::spawn(worker.run(std::future::pending()));
    /// let id = client.submit(Submission::new("talk")).await?.id;
    /// client.result::<()>(&id).wait(Duration::from_secs(10)).await?;
    /// let lines = client.logs(&id, None).all().await?;
    /// assert_eq!(lines[0].line, "hello");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn logs(&self, id: &str, attempt: Option<u32>) -> Items<LogLine> {
        let (client, of) = (self.clone(), self.target(id));
        Items::paged(move |cursor| {
            let (client, of) = (client.clone(), of.clone());
            async move {
                let request = Request::Logs { of, attempt, page: Page { limit: None, cursor } };
                let reply: stint_api::LogsReply = client.get(request).await?;
                Ok((reply.lines, reply.next_cursor))
            }
        })
    }

    /// Lanes that have settings or open executions, by name.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// client.submit(Submission::new("mail").lane("slow")).await?;
    /// let lanes = client.lanes().all().await?;
    /// assert_eq!(lanes[0].name, "slow");
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lanes(&self) -> Items<Lane> {
        let client = self.clone();
        Items::paged(move |cursor| {
            let client = client.clone();
            async move {
                let (namespace, page) = (client.namespace().to_owned(), Page { limit: None, cursor });
                let reply: stint_api::LanesReply = client.get(Request::Lanes { namespace, page }).await?;
                Ok((reply.lanes, reply.next_cursor))
            }
        })
    }
}
