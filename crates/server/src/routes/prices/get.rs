//! `GET /v1/prices`

use axum::extract::State;
use stint_api::PricesReply;

use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows a namespace's price table.
#[utoipa::path(
    get,
    path = "/v1/prices",
    operation_id = "prices",
    tag = "budgets",
    params(Namespace),
    responses(
        (
            status = 200, description = "The table.", body = PricesReply,
            example = json!({"version": 3, "unpriced": "refuse",
                "models": {"gpt-4o*": {"input": 2500000, "cached_input": 1250000, "output": 10000000}}})
        ),
    )
)]
pub(crate) async fn get(State(app): State<App>, Namespace(namespace): Namespace) -> Answer<PricesReply> {
    ok(app.engine.prices(&namespace).await)
}
