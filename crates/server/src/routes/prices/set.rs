//! `PUT /v1/prices`

use axum::extract::State;
use axum::http::StatusCode;
use stint_api::{PricesReply, PricesRequest};

use crate::extract::Post;
use crate::problems::SetsPrices;
use crate::reply::{Answer, Reply};
use crate::routes::App;

/// Replaces a namespace's price table.
///
/// What was priced before stays as it is: each charge names the version that priced it.
#[utoipa::path(
    put,
    path = "/v1/prices",
    operation_id = "set_prices",
    tag = "budgets",
    request_body(
        content = PricesRequest,
        example = json!({"models": {"gpt-4o*": {"input": 2500000, "cached_input": 1250000, "output": 10000000}}})
    ),
    responses(
        (
            status = 200, description = "Every partition prices by it.", body = PricesReply,
            example = json!({"version": 3, "unpriced": "refuse",
                "models": {"gpt-4o*": {"input": 2500000, "cached_input": 1250000, "output": 10000000}}})
        ),
        (status = 202, description = "It is accepted, and reaches the missing partitions on its own.", body = PricesReply),
        SetsPrices,
    )
)]
pub(crate) async fn set(State(app): State<App>, post: Post<PricesRequest>) -> Answer<PricesReply> {
    let reply = app.engine.set_prices(post.request).await?;
    let status = if reply.missing_partitions.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Reply(status, reply))
}
