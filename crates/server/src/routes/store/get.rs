//! `GET /v1/store`

use axum::extract::State;
use stint_api::StoreReport;

use crate::query::StoreQuery;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Says what is in the store: heads of partitions, nodes, open executions, and all records counted if asked for, which
/// reads everything.
#[utoipa::path(
    get,
    path = "/v1/store",
    operation_id = "store",
    tag = "store",
    params(StoreQuery),
    responses((status = 200, description = "What is in it.", body = StoreReport))
)]
pub(crate) async fn get(State(app): State<App>, StoreQuery(wanted): StoreQuery) -> Answer<StoreReport> {
    ok(app.engine.store(wanted).await)
}
