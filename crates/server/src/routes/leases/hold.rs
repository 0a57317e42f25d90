//! `POST /v1/leases/{lease}/hold`

use axum::extract::State;
use stint_api::{ExtendReply, LeaseHoldRequest};

use crate::extract::{Post, Segment};
use crate::problems::LeaseSpends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Asks for more money under a lease, before more is spent.
///
/// It is answered at once. After a no the work is asked to stop, as its budget says.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/hold",
    operation_id = "extend_lease",
    tag = "leases",
    request_body(content = LeaseHoldRequest, example = json!({"id": "more-1", "amounts": {"usd_micros": 20000}})),
    responses(
        (
            status = 200, description = "Whether it is held now.", body = ExtendReply,
            example = json!({"granted": false, "path": "acme", "window": "day", "dimension": "usd_micros",
                "limit": 5000000, "used": 4900000, "held": 90000, "missing": 10000,
                "resets_at": "2026-11-24T00:00:00.000Z"})
        ),
        LeaseSpends,
    )
)]
pub(crate) async fn hold(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<LeaseHoldRequest>,
) -> Answer<ExtendReply> {
    ok(app.engine.extend(&lease, post.request).await)
}
