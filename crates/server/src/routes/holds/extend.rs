//! `POST /v1/holds/{id}/extend`

use axum::extract::State;
use stint_api::{ExtendReply, ExtendRequest};

use crate::extract::{Post, Segment};
use crate::problems::Spends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Asks for more under a hold, before more is spent.
///
/// It is answered at once; what is not free is not granted, and is in the way of nobody.
#[utoipa::path(
    post,
    path = "/v1/holds/{id}/extend",
    operation_id = "extend_hold",
    tag = "budgets",
    request_body(content = ExtendRequest, example = json!({"id": "more-1", "amounts": {"usd_micros": 20000}})),
    responses(
        (status = 200, description = "Whether it is held now.", body = ExtendReply, example = json!({"granted": true})),
        Spends,
    )
)]
pub(crate) async fn extend(
    State(app): State<App>,
    Segment(hold): Segment,
    post: Post<ExtendRequest>,
) -> Answer<ExtendReply> {
    ok(app.engine.extend_hold(&hold, post.request).await)
}
