//! Acting on many executions.

use stint_api::{BulkJob, BulkReply, BulkRequest, BulksReply};

use super::Client;
use crate::Error;
use crate::transport::Request;

impl Client {
    /// Does something to all executions that a filter wants: begins a job of the server's, which goes on over restarts,
    /// or only counts what it would be about.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stint::Submission;
    /// use stint::api::{BulkAction, BulkRequest, BulkState, ExecutionFilter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// for _ in 0..3 {
    ///     client.submit(Submission::new("mail").lane("mail")).await?;
    /// }
    /// let mail = ExecutionFilter { lane: Some("mail".to_owned()), ..ExecutionFilter::default() };
    /// let cancel = BulkRequest::new(BulkAction::Cancel, mail);
    ///
    /// // First look how many it is about.
    /// let preview = client.begin_bulk(BulkRequest { dry_run: Some(true), ..cancel.clone() }).await?;
    /// assert_eq!((preview.count, preview.job), (3, None));
    ///
    /// let job = client.begin_bulk(cancel).await?.job.expect("it was no dry run");
    /// while client.bulk(&job).await?.state == BulkState::Running {
    ///     tokio::time::sleep(Duration::from_millis(10)).await;
    /// }
    /// assert_eq!(client.bulk(&job).await?.changed, 3);
    /// assert_eq!(client.bulks().await?.len(), 1);
    /// // It is over: stopping it changes nothing.
    /// client.stop_bulk(&job).await?;
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn begin_bulk(&self, mut request: BulkRequest) -> Result<BulkReply, Error> {
        self.own(&mut request.namespace);
        self.post(Request::BeginBulk(request)).await
    }

    /// How far an action on many executions is.
    pub async fn bulk(&self, job: &str) -> Result<BulkJob, Error> {
        let job: Box<BulkJob> = self.get(Request::Bulk(self.target(job))).await?;
        Ok(*job)
    }

    /// Actions on many executions that run, and those that ended lately, newest first.
    pub async fn bulks(&self) -> Result<Vec<BulkJob>, Error> {
        let reply: BulksReply = self.get(Request::Bulks { namespace: self.namespace().to_owned() }).await?;
        Ok(reply.jobs)
    }

    /// Ends an action on many executions. What it has done stays done.
    pub async fn stop_bulk(&self, job: &str) -> Result<BulkJob, Error> {
        let job: Box<BulkJob> = self.post(Request::StopBulk(self.target(job))).await?;
        Ok(*job)
    }
}
