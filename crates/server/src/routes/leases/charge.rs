//! `POST /v1/leases/{lease}/charge`

use axum::extract::State;
use stint_api::{ChargeReply, ChargeRequest};

use crate::extract::{Post, Segment};
use crate::problems::LeaseSpends;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Records what was spent under a lease, whether it still holds or not.
///
/// It is always recorded in full, above the limit too. Said again under the same id it is booked once.
#[utoipa::path(
    post,
    path = "/v1/leases/{lease}/charge",
    operation_id = "charge",
    tag = "leases",
    request_body(content = ChargeRequest, example = json!({"charge_id": "resp_81", "usage": {"model": "gpt-4o-mini", "input_tokens": 1200,
            "output_tokens": 300}})),
    responses(
        (
            status = 200, description = "It is recorded.", body = ChargeReply,
            example = json!({"recorded": true, "amounts": {"usd_micros": 360, "input_tokens": 1200, "output_tokens": 300,
                "calls": 1}, "prices": 3, "late": false, "over_limit": false, "quarantined": false})
        ),
        LeaseSpends,
    )
)]
pub(crate) async fn charge(
    State(app): State<App>,
    Segment(lease): Segment,
    post: Post<ChargeRequest>,
) -> Answer<ChargeReply> {
    ok(app.engine.charge(&lease, post.request).await)
}
