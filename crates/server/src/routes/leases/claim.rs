//! `POST /v1/leases`

use axum::extract::State;
use stint_api::{LeaseReply, LeaseRequest};

use crate::extract::Post;
use crate::problems::Claims;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Claims work.
///
/// Answers at once if there is some, else when some comes or the wait is over.
#[utoipa::path(
    post,
    path = "/v1/leases",
    operation_id = "lease",
    tag = "leases",
    request_body(
        content = LeaseRequest,
        example = json!({"worker": {"name": "w1", "capabilities": ["gpu", "region=eu"]},
            "lanes": ["default"], "max": 1, "wait_ms": 0})
    ),
    responses(
        (
            status = 200, description = "The leases, best first.", body = LeaseReply,
            example = json!({"leases": []})
        ),
        Claims,
    )
)]
pub(crate) async fn claim(State(app): State<App>, post: Post<LeaseRequest>) -> Answer<LeaseReply> {
    ok(app.engine.lease(post.request, post.key).await)
}
