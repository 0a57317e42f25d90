//! Acting on many executions.

use std::time::Duration;

use stint_api::{ActionRequest, BulkJob, BulkReply, BulkRequest, BulkState, BulksReply};

use super::Client;
use crate::Error;
use crate::transport::{Request, Target};

/// How often a job is looked at while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Client {
    /// Begins an action on all executions that a filter wants, or only counts them (`dry_run`). The server does it in the
    /// background, also after a crash.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// use stint::api::{BulkAction, BulkRequest, ExecutionFilter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// client.submit(Submission::new("mail").lane("mail")).await?;
    /// let filter = ExecutionFilter { lane: Some("mail".to_owned()), ..ExecutionFilter::default() };
    /// let mut cancel = BulkRequest::new(BulkAction::Cancel, filter);
    /// cancel.dry_run = Some(true);
    /// assert_eq!(client.begin_bulk(cancel.clone()).await?.count, 1);
    ///
    /// cancel.dry_run = None;
    /// let job = client.begin_bulk(cancel).await?.job.expect("it is no dry run");
    /// let done = client.wait_for_bulk(&job).await?;
    /// assert_eq!((done.changed, done.skipped, done.failed), (1, 0, 0));
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn begin_bulk(&self, mut request: BulkRequest) -> Result<BulkReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::BeginBulk(Box::new(request))).await
    }

    /// How far an action on many executions has come.
    pub async fn bulk(&self, job: &str) -> Result<BulkJob, Error> {
        let of = Target { namespace: self.namespace.to_string(), name: job.to_owned() };
        Ok(*self.get::<Box<BulkJob>>(Request::Bulk(of)).await?)
    }

    /// Actions on many executions that run, and those that ended lately, newest first.
    ///
    /// ```
    /// # use stint::Embedded;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// for job in client.bulks().await? {
    ///     println!("{} {} of {}", job.job, job.processed, job.matched);
    /// }
    /// assert!(client.stop_bulk("bk_00000000000000000000000000").await.is_err());
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bulks(&self) -> Result<Vec<BulkJob>, Error> {
        let reply: BulksReply = self.get(Request::Bulks { namespace: self.namespace.to_string() }).await?;
        Ok(reply.jobs)
    }

    /// Ends an action on many executions behind the page under way. What was done stays done.
    pub async fn stop_bulk(&self, job: &str) -> Result<BulkJob, Error> {
        let request = ActionRequest { namespace: self.named() };
        Ok(*self.post::<Box<BulkJob>>(Request::StopBulk(job.to_owned(), request)).await?)
    }

    /// Waits until an action on many executions is over.
    pub async fn wait_for_bulk(&self, job: &str) -> Result<BulkJob, Error> {
        loop {
            let found = self.bulk(job).await?;
            if found.state != BulkState::Running {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
