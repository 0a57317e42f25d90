//! `POST /v1/bulk`

use axum::extract::State;
use stint_api::{BulkReply, BulkRequest};

use crate::extract::Post;
use crate::problems::Bulk;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Acts on all executions that a filter wants, in the background.
///
/// With `dry_run` it only counts them. The job goes on after a crash, and is about no execution that was submitted, or
/// ended, after its start.
#[utoipa::path(
    post,
    path = "/v1/bulk",
    operation_id = "begin_bulk",
    tag = "bulk",
    request_body(
        content = BulkRequest,
        example = json!({"action": "cancel", "filter": {"lane": "mail", "state": "ready"}, "reason": "wrong template"})
    ),
    responses(
        (
            status = 200, description = "The job that was begun, and how many executions it is about.", body = BulkReply,
            example = json!({"job": "bk_01k5f3v0000000000000000000", "count": 1200, "at_least": false})
        ),
        Bulk,
    )
)]
pub(crate) async fn begin(State(app): State<App>, post: Post<BulkRequest>) -> Answer<BulkReply> {
    ok(app.engine.begin_bulk(post.request, post.key).await)
}
