//! Lists and counts of executions.

use std::sync::Arc;
use std::time::Duration;

use stint_api::{Code, CountReply, CountRequest, DEFAULT_NAMESPACE, ListReply, ListRequest, Problem};

use stint_core::find::Filter;

use super::Engine;
use crate::Node;
use crate::edge::problem::problem;
use crate::edge::{filter, page, view};
use crate::find::{self, Cursor};

/// How long a list waits for partitions that don't answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Executions that a filter wants, a page at a time: open ones first, newest submission first, then ended ones,
    /// newest end first; with a tag all of them by submission.
    pub async fn executions(&self, request: ListRequest) -> Result<ListReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let filter = Arc::new(filter::wanted(namespace, request.filter));
        let from = request.cursor.map(|text| Cursor::decode(&text, &filter)).transpose()?;
        let limit = page::limit(request.limit)?;
        let found = in_time(find::page(&self.0.node, &filter, from, limit)).await?;
        Ok(ListReply {
            executions: found.rows.into_iter().map(view::summary).collect(),
            next_cursor: found.next.map(|cursor| cursor.encode(&filter)),
        })
    }

    /// How many executions a filter wants.
    pub async fn count(&self, request: CountRequest) -> Result<CountReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let filter = Arc::new(filter::wanted(namespace, request.filter));
        let (count, at_least) = count(&self.0.node, &filter).await?;
        Ok(CountReply { count, at_least })
    }
}

/// How many executions a filter wants, and whether there may be more.
pub(super) async fn count(node: &Node, filter: &Arc<Filter>) -> Result<(u64, bool), Problem> {
    in_time(find::count(node, filter)).await
}

async fn in_time<T>(finding: impl Future<Output = Result<T, crate::CallError>>) -> Result<T, Problem> {
    match tokio::time::timeout(PATIENCE, finding).await {
        Ok(found) => found.map_err(problem),
        Err(_) => {
            Err(Problem::new(Code::StoreUnavailable, "not all partitions answer").retry_after_ms(1_000))
        }
    }
}
